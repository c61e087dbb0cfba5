"""Two teachers mixed in probabilities; a share of 0 is the first one, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from workbench.data.images import build_data
from workbench.errors import InvalidExperiment
from workbench.models.facts import ModelContext
from workbench.models.weights import weights_hash
from workbench.registries import DATA, MODELS, TARGETS
from workbench.specs.experiment import ExperimentSpec
from workbench.targets.kinds import TargetContext
from workbench.targets.mix import MixedTeachers
from workbench.targets.teacher import FrozenTeacher


@pytest.fixture(scope="module")
def digits():
    spec = DATA.get("digits").model_validate({"use": "digits", "limit": 200})
    return build_data(spec, base=Path.cwd(), seed=0)


def model(digits, seed):
    context = ModelContext(1, 8, 8, 10, digits.mean, digits.std, seed=seed, open_run=None)
    return MODELS.get("cnn-small").model_validate({"use": "cnn-small", "width": 4}).build(context)


@pytest.fixture(params=["looked up", "asked"])
def mixed(request, digits):
    """The mix, and its two teachers on their own."""
    first, second = (FrozenTeacher(model(digits, seed), []) for seed in (1, 2))
    target = MixedTeachers(first, second)
    if request.param == "looked up":
        rows = torch.from_numpy(digits.split_ids("train"))
        target.prepare(
            len(digits.examples), rows, lambda ids: digits.fetch(ids).inputs, lambda _: None
        )
    return target, first, second


@pytest.fixture
def batch(digits):
    return digits.fetch(digits.plan(0, 0)[:16])


@pytest.mark.parametrize("share", [1e-7, 0.1, 0.5, 0.9, 1 - 1e-7])
def test_the_mix_is_that_of_the_probabilities(mixed, batch, share):
    """Against float64 in numpy."""
    target, *teachers = mixed
    logits = [teacher(batch)["logits"].double().numpy() for teacher in teachers]
    first, second = (np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in logits)
    expected = (1 - share) * first + share * second
    found = target(batch, {"share": share})["logits"].softmax(-1).numpy()
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-7)
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-6)


@pytest.mark.parametrize(("share", "which"), [(0.0, 0), (1.0, 1)])
def test_at_either_end_one_teachers_logits_come_bit_for_bit(mixed, batch, share, which):
    target, *teachers = mixed
    assert torch.equal(target(batch, {"share": share})["logits"], teachers[which](batch)["logits"])


def test_gaps_of_240_stay_finite(batch, digits):
    """Softmax alone would give a probability of 0, whose logarithm teaches infinity."""
    from workbench.targets.mix import _mixed

    first, second = torch.zeros(2, 10), torch.zeros(2, 10)
    first[:, 0], second[:, 1] = 240.0, 240.0
    found = _mixed(first, second, 0.25)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found.softmax(-1)[:, :2], torch.tensor([[0.75, 0.25]] * 2))
    assert (found[:, 2] < -200).all()


def test_layers_are_the_first_teachers(mixed, batch):
    target, first, _ = mixed
    target.want(["stage1"])
    taps = target(batch, {"share": 0.5})
    assert set(taps) == {"logits", "stage1"}
    assert torch.equal(taps["stage1"], first(batch)["stage1"])


def test_both_teachers_stay_frozen(mixed, batch):
    target, first, second = mixed
    before = [weights_hash(teacher.teacher) for teacher in (first, second)]
    found = target(batch, {"share": 0.5})["logits"]
    assert not found.requires_grad
    assert [weights_hash(teacher.teacher) for teacher in (first, second)] == before
    assert not any(p.requires_grad for t in (first, second) for p in t.teacher.parameters())


def test_the_progress_of_both_tables_rises_to_one(digits):
    target = MixedTeachers(*(FrozenTeacher(model(digits, seed), []) for seed in (1, 2)))
    rows, told = torch.from_numpy(digits.split_ids("train")), []
    target.prepare(len(digits.examples), rows, lambda ids: digits.fetch(ids).inputs, told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert not target.draws


def test_the_second_teacher_is_opened_by_its_spec(digits):
    kind = TARGETS.get("mix").model_validate({"use": "mix", "other": "run:abc@last"})
    asked = []

    def opened(spec):
        asked.append(spec.use)
        return model(digits, 2)

    context = TargetContext(
        teacher=model(digits, 1),
        open_model=opened,
        open_stage=opened,
        num_rows=len(digits.examples),
        train_ids=torch.from_numpy(digits.split_ids("train")),
        num_classes=10,
    )
    built = kind.build(context)
    assert isinstance(built, MixedTeachers)
    assert asked == ["run:abc@last"]
    assert kind.knobs() == {"share": 0.5}


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"use": "mix"}, r"target\.other"),
        ({"use": "mix", "other": "run:a", "share": 1.1}, "must be ≥ 0 and ≤ 1"),
        ({"use": "mixed", "other": "run:a"}, "Did you mean 'mix'"),
    ],
)
def test_a_mix_that_is_none_is_refused(target, words):
    with pytest.raises(InvalidExperiment, match=words):
        ExperimentSpec.parse(
            {
                "name": "x",
                "data": "digits",
                "teacher": {"use": "cnn-small", "train": {"epochs": 1}},
                "student": "cnn-tiny",
                "stages": {"main": {"terms": {"kd": {"use": "kd"}}, "epochs": 1, "target": target}},
            }
        )
