"""A student with its teacher's classifier: what it takes over, what learns, how it travels."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from workbench.errors import BadFile, BadModel
from workbench.models.architectures import make_network
from workbench.models.facts import Architecture
from workbench.models.weights import save_weights, weights_hash
from workbench.registries import MODELS

TINY = {"use": "cnn-tiny", "width": 4}
INPUTS = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
BODIES = [TINY, {"use": "cnn-small", "width": 4}, {"use": "cnn-cells"},
          {"use": "mlp", "hidden": [16, 12]}]  # fmt: skip
TEACHERS = [("cnn-small", {"width": 8}), ("cnn-cells", {}), ("mlp", {"hidden": [20, 14]})]


@pytest.fixture
def borrow(build):
    """Build a student for a teacher."""

    def make(teacher: Any, of: Any = TINY, **options: Any) -> Any:
        changes = {name: options.pop(name) for name in ("seed", "channels") if name in options}
        return build("borrowed-head", options={"of": of, **options}, teacher=teacher, **changes)

    return make


@pytest.mark.parametrize(("use", "options"), TEACHERS)
@pytest.mark.parametrize("of", BODIES, ids=lambda of: of["use"])
def test_it_answers_with_the_teachers_classifier_on_its_projected_features(
    build, borrow, of, use, options
):
    teacher = build(use, options=options)
    student = borrow(teacher, of).eval()
    taps = student.taps(INPUTS, ["projector"])
    theirs = teacher.network.classifier
    pooled = taps["projector"] if of["use"] == "mlp" else taps["projector"].mean(dim=(2, 3))
    assert pooled.shape == (6, theirs.in_features) and (pooled >= 0).all()
    expected = pooled @ theirs.weight.T + theirs.bias
    torch.testing.assert_close(taps["logits"], expected, rtol=1e-4, atol=1e-5)
    assert student.facts.stage_paths[-1] == "projector"
    assert len(student.facts.stages) >= 2


@pytest.mark.parametrize("of", BODIES, ids=lambda of: of["use"])
def test_everything_learns_but_the_classifier(build, borrow, of):
    teacher = build("cnn-small", options={"width": 8})
    student = borrow(teacher, of).train()
    torch.nn.functional.cross_entropy(student(INPUTS), torch.arange(6)).backward()
    parameters = dict(student.network.named_parameters())
    fixed = {name for name, parameter in parameters.items() if not parameter.requires_grad}
    assert fixed == {"classifier.weight", "classifier.bias"}
    assert all(p.grad is not None and p.grad.any() for n, p in parameters.items() if n not in fixed)
    assert all(parameters[name].grad is None for name in fixed)
    assert student.facts.num_parameters == sum(p.numel() for p in parameters.values())


def test_the_two_classifiers_are_equal_but_not_shared(build, borrow):
    teacher = build("cnn-small", options={"width": 8})
    student = borrow(teacher)
    assert torch.equal(student.network.classifier.weight, teacher.network.classifier.weight)
    with torch.no_grad():
        teacher.network.classifier.weight.zero_()
    assert student.network.classifier.weight.any()
    assert teacher.network.classifier.weight.requires_grad


def test_the_body_is_that_of_its_name(build, borrow):
    student = borrow(build("cnn-small"), {"use": "cnn-small", "width": 4})
    body = build("cnn-small", options={"width": 4}).network.blocks
    shapes = {name: value.shape for name, value in student.network.body.state_dict().items()}
    assert shapes == {name: value.shape for name, value in body.state_dict().items()}


def test_the_projector_is_three_layers_through_a_middle_of_its_factor(build, borrow):
    student = borrow(build("cnn-small", options={"width": 8}), factor=4)
    sizes = [tuple(m.weight.shape) for m in student.network.projector if hasattr(m, "kernel_size")]
    assert sizes == [(4, 8, 1, 1), (4, 4, 3, 3), (16, 4, 1, 1)]
    vectors = borrow(build("mlp", options={"hidden": [14]}), {"use": "mlp", "hidden": [5]})
    sizes = [tuple(m.weight.shape) for m in vectors.network.projector if hasattr(m, "in_features")]
    assert sizes == [(7, 5), (7, 7), (14, 7)]


def test_it_is_a_pure_function_of_seed_and_teacher(build, borrow):
    teacher, other = build("cnn-small"), build("cnn-small", seed=8)
    torch.manual_seed(1)
    first = weights_hash(borrow(teacher))
    torch.manual_seed(2)
    assert weights_hash(borrow(teacher)) == first
    assert weights_hash(borrow(teacher, seed=8)) != first
    assert weights_hash(borrow(other)) != first


@pytest.mark.parametrize("of", BODIES, ids=lambda of: of["use"])
def test_a_stored_one_opens_without_its_teacher(build, borrow, context, tmp_path, of):
    student = borrow(build("cnn-small"), of)
    student.train()(INPUTS)  # moves the running statistics
    save_weights(tmp_path / "student.safetensors", student.eval())
    use = f"path:{tmp_path / 'student.safetensors'}"
    opened = MODELS.get(use).model_validate({"use": use}).build(context()).eval()
    assert torch.equal(opened(INPUTS), student(INPUTS))
    assert not opened.network.classifier.weight.requires_grad
    again = borrow(opened, of)  # and may teach in its turn
    assert torch.equal(again.network.classifier.weight, student.network.classifier.weight)


def test_a_single_image_trains(build, borrow):
    for of in (TINY, {"use": "mlp"}):
        student = borrow(build("mlp"), of).train()
        assert torch.isfinite(student(INPUTS[:1])).all()


def test_rows_of_a_table_are_taken_where_the_body_takes_them(build, borrow):
    rows = {"channels": 5, "height": None, "width": None, "num_classes": 3}
    teacher = build("mlp", **rows)
    student = build("borrowed-head", options={"of": "mlp"}, teacher=teacher, **rows)
    assert student.eval()(torch.rand(2, 5)).shape == (2, 3)
    with pytest.raises(BadModel, match="takes images, the data are table rows"):
        build("borrowed-head", options={"of": TINY}, teacher=teacher, **rows)


def test_without_a_teacher_or_with_one_of_another_kind_it_says_so(build, borrow):
    with pytest.raises(BadModel, match=r"WB106.*borrowed-head:.*no teacher here.*run: or path:"):
        build("borrowed-head", options={"of": TINY})
    for use in ("vit-micro", "timm/test_resnet"):
        with pytest.raises(BadModel, match=rf"the teacher {use} is no network.*cnn-small.*mlp"):
            borrow(build(use))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"of": "vit-micro"}, r"'vit-micro' has no body.*cnn-cells, cnn-small, cnn-tiny, mlp"),
        ({"of": "timm/resnet10t"}, "'timm/resnet10t' has no body"),
        ({"of": {"use": "borrowed-head", "of": TINY}}, "'borrowed-head' has no body"),
        ({"of": {**TINY, "train": {"epochs": 2}}}, "leave out `train`"),
        ({"of": TINY, "input_size": 16}, "set `input_size` in `of`"),
        ({"of": TINY, "factor": 0}, "greater than or equal to 1"),
        ({}, "Field required"),
    ],
)
def test_wrong_options_are_refused(options, text):
    with pytest.raises(ValidationError, match=text):
        MODELS.get("borrowed-head").model_validate({"use": "borrowed-head", **options})


def test_input_size_of_the_body_counts(build, borrow):
    student = borrow(build("cnn-small"), {**TINY, "input_size": 16})
    assert student.facts.input_size == (1, 16, 16)
    assert student.eval()(INPUTS).shape == (6, 10)


def test_a_damaged_description_is_a_bad_file():
    arguments = {"of": "resnet", "options": {}, "width": 8, "factor": 2}
    architecture = Architecture("own", "borrowed-head", (1, 8, 8), 10, (0.0,), (1.0,), arguments)
    with pytest.raises(BadFile, match=r"WB104.*x\.safetensors.*`of` is 'resnet'"):
        make_network(architecture, source="x.safetensors")
