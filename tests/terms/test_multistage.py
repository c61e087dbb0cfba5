"""Terms over several stages: pairing of stages, and any pair of today's networks."""

from __future__ import annotations

import functools

import pytest
import torch

from workbench.errors import BadInput
from workbench.functional.features import hint
from workbench.functional.logits import ofa
from workbench.models import ModelContext
from workbench.models.adapter import ModelAdapter
from workbench.models.batch import Batch
from workbench.models.taps import Taps
from workbench.registries import TERMS
from workbench.terms.layers import evenly
from workbench.terms.projector import as_map
from workbench.terms.term import Term, TermContext

MODELS = {
    "cnn": ("cnn-tiny", {}),
    "mlp": ("mlp", {"hidden": [12, 10, 8]}),
    "vit": ("timm/test_vit", {}),
    "resnet": ("timm/test_resnet", {}),
    "mixer": ("timm/mixer_s32_224", {"input_size": 224}),
    "hybrid": ("timm/test_efficientnet", {}),
}
IMAGES = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, -1, 7])
BATCH = Batch(torch.arange(3), IMAGES, LABELS)


@functools.cache
def model(name: str) -> ModelAdapter:
    from workbench.registries import MODELS as KINDS

    use, options = MODELS[name]
    context = ModelContext(
        channels=1, height=8, width=8, num_classes=10, seed=7, mean=(0.3,), std=(0.4,)
    )
    adapter: ModelAdapter = KINDS.get(use).model_validate({"use": use, **options}).build(context)
    return adapter.eval()


def built(name: str, student: ModelAdapter, teacher: ModelAdapter, **options: object) -> Term:
    kind = TERMS.get(name).model_validate({"use": name, **options})
    return kind.build(
        TermContext(
            student_shapes=student.shapes,
            teacher_shapes=teacher.shapes,
            student_stages=student.facts.stages,
            teacher_stages=teacher.facts.stages,
            seed=3,
        )
    )


PAIRS = [
    ("cnn", "resnet"), ("mlp", "cnn"), ("cnn", "mlp"), ("vit", "resnet"),
    ("resnet", "vit"), ("hybrid", "vit"), ("mixer", "vit"),
]  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
@pytest.mark.parametrize("name", ["ofa-stages", "reviewkd", "transkd"])
def test_any_two_networks_of_today_can_be_paired(name, pair):
    """CNN, transformer, perceptron and mixer, as students and as teachers."""
    student, teacher = (model(each) for each in pair)
    term = built(name, student, teacher)
    own = student.taps(IMAGES, term.student_taps)
    with torch.no_grad():
        their = teacher.taps(IMAGES, term.target_taps)
    values = {"exponent": 1.0, "temperature": 1.0} if name == "ofa-stages" else {}
    found = term(own, their, BATCH, values)
    assert found.value.shape == (3,)
    found.reduced().backward()
    learned = dict(term.module.named_parameters())
    assert learned
    without = [key for key, each in learned.items() if each.grad is None]
    assert not without, f"never trained: {without}"
    assert all(torch.isfinite(each.grad).all() for each in learned.values())


def test_stages_are_paired_evenly_and_end_with_the_last():
    names = ["a", "b", "c", "d"]
    assert evenly(names, 2) == ["b", "d"]
    assert evenly(names, 1) == ["d"]
    assert evenly(names, 3) == ["a", "c", "d"]
    assert evenly(names, 4) == names


def test_two_stages_of_a_small_network_meet_two_of_four():
    term = built("reviewkd", model("cnn"), model("resnet"))
    assert len(model("cnn").facts.stages) == 2
    assert list(term.student_taps) == ["stage1", "stage2"]
    assert list(term.target_taps) == ["stage2", "stage4"]


def test_named_layers_are_taken_as_they_are_and_must_be_equally_many():
    student, teacher = model("cnn"), model("resnet")
    term = built("reviewkd", student, teacher, student_taps=["stage2"], teacher_taps=["stage3"])
    assert (list(term.student_taps), list(term.target_taps)) == (["stage2"], ["stage3"])
    with pytest.raises(BadInput, match=r"names 1 layers, `teacher_taps` 2\. Name equally many"):
        built(
            "reviewkd", student, teacher,
            student_taps=["stage2"], teacher_taps=["stage1", "stage3"],
        )  # fmt: skip
    with pytest.raises(BadInput, match="`student_embeddings` names 1 layers"):
        built("transkd", student, teacher, student_embeddings=["stage1"])


def test_reviewkd_reviews_the_pooled_last_layer_too():
    term = built("reviewkd", model("cnn"), model("resnet"))
    assert len(term.module.steps) == 3
    assert term.module.sizes[-1] == (1, 1)


def test_ofa_sums_its_branches_over_labelled_samples():
    student, teacher = model("cnn"), model("resnet")
    term = built("ofa-stages", student, teacher)
    own, their = student.taps(IMAGES, term.student_taps), teacher.taps(IMAGES, ())
    values = {"exponent": 1.5, "temperature": 2.0}
    term.module.eval()
    found = term(own, their, BATCH, values)
    parts = [
        ofa(branch(own[tap]), their["logits"], LABELS, **values)
        for tap, branch in zip(("stage1", "stage2"), term.module, strict=True)
    ]
    torch.testing.assert_close(found.value, parts[0] + parts[1])
    torch.testing.assert_close(found.reduced(), (found.value[0] + found.value[2]) / 2)


def test_transkd_adds_embeddings_by_the_published_weights():
    """The last of four embeddings weighs 1, the one before 0.5; the mixer acts on the last."""
    student, teacher = model("cnn"), model("resnet")
    plain = built("transkd", student, teacher)
    layers = {
        "student_embeddings": ["stage1", "stage2"],
        "teacher_embeddings": ["stage1", "stage2"],
    }
    more = built("transkd", student, teacher, **layers)
    own = student.taps(IMAGES, more.student_taps)
    their = Taps(teacher.taps(IMAGES, ["stage1", "stage2", "stage4"]))
    gap = more(own, their, BATCH, {}).value - plain(own, their, BATCH, {}).value
    expected = torch.zeros(3)
    for i, weight in enumerate((0.5, 1.0)):
        mine, wanted = as_map(own[f"stage{i + 1}"]), as_map(their[f"stage{i + 1}"])
        side = min(mine.shape[2], wanted.shape[2])
        mine, wanted = (
            torch.nn.functional.adaptive_avg_pool2d(each, side).flatten(2).mT
            for each in (mine, wanted)
        )
        linear = more.module["linear"][i]
        expected = expected + weight * hint(linear(mine), wanted)
    torch.testing.assert_close(gap, expected, rtol=1e-3, atol=1e-4)
    mixed = built("transkd", student, teacher, mixer=True, **layers)
    assert not torch.allclose(
        mixed(own, their, BATCH, {}).value, plain(own, their, BATCH, {}).value
    )
