"""Classification: numbers against numpy in float64, a limit, errors."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from workbench.errors import BadData
from workbench.registries import TASKS
from workbench.specs.base import Pick
from workbench.tasks import Classification, Task

TASK = Classification()


def random_case(rows: int = 500, classes: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(rows, classes, generator=generator)
    return logits, torch.randint(classes, (rows,), generator=generator)


def reference(logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    log_probs = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    confidence, correct = np.exp(log_probs).max(1), logits.argmax(1) == labels
    bins = np.clip(np.ceil(confidence * 15) - 1, 0, 14)
    gaps = [abs((confidence - correct)[bins == number].sum()) for number in range(15)]
    wrong = ~correct[np.argsort(-confidence)]
    return {
        "accuracy": float(correct.mean()),
        "nll": float(-log_probs[np.arange(len(labels)), labels].mean()),
        "ece": float(sum(gaps) / len(labels)),
        "aurc": float((wrong.cumsum() / np.arange(1, len(labels) + 1)).mean()),
    }


def test_matches_float64_reference() -> None:
    logits, labels = random_case()
    actual = TASK.evaluate(logits, labels)
    assert actual == pytest.approx(reference(logits.numpy(), labels.numpy()), rel=1e-5)
    assert TASK.metric in actual


def test_chance_is_the_null_of_its_own_ece_and_needs_no_label() -> None:
    """Another truth: labels drawn as the confidences say, their ECE's 95th percentile."""
    logits, _ = random_case()
    told = TASK.chance(logits)["ece_null_p95"]
    probs = logits.double().softmax(-1)
    draw = torch.Generator().manual_seed(1)
    found = [
        TASK.evaluate(logits, torch.multinomial(probs, 1, generator=draw)[:, 0])["ece"]
        for _ in range(400)
    ]
    assert told == pytest.approx(np.quantile(found, 0.95), rel=0.06)


def test_half_precision_scores_are_judged_in_float32() -> None:
    logits, labels = random_case()
    rounded = logits.bfloat16()
    expected = reference(rounded.float().numpy(), labels.numpy())
    assert TASK.evaluate(rounded, labels) == pytest.approx(expected, rel=1e-5)


def test_confident_and_right_is_perfect() -> None:
    labels = torch.tensor([2, 0, 1, 1])
    perfect = torch.nn.functional.one_hot(labels, 3) * 200.0
    nothing_lost = {"accuracy": 1.0, "nll": 0.0, "ece": 0.0, "aurc": 0.0}
    assert TASK.evaluate(perfect, labels) == nothing_lost


def test_probabilities_soften_towards_uniform() -> None:
    logits, _ = random_case()
    expected = np.exp(logits.double().numpy() / 4)
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(TASK.probabilities(logits, temperature=4.0), expected, rtol=1e-5)
    hot = TASK.probabilities(logits, temperature=1e6)
    torch.testing.assert_close(hot, torch.full_like(hot, 1 / 7), rtol=1e-4, atol=0)


def test_probabilities_carry_gradient_and_stay_finite_at_large_gaps() -> None:
    logits = torch.tensor([[240.0, 0.0, -240.0]], requires_grad=True)
    probs = TASK.probabilities(logits)
    probs[0, 0].backward()
    assert torch.isfinite(probs).all() and logits.grad is not None
    assert probs.sum().item() == pytest.approx(1.0)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_is_not_positive_is_refused(temperature: float) -> None:
    with pytest.raises(ValueError, match="`temperature` must be > 0"):
        TASK.probabilities(torch.zeros(1, 2), temperature=temperature)


@pytest.mark.parametrize(
    ("logits", "labels", "error", "words"),
    [
        (torch.zeros(3, 4), torch.zeros(2).long(), BadData, r"WB105.*\(3, 4\).*\(2,\)"),
        (torch.zeros(3), torch.zeros(3).long(), BadData, r"\(3,\)"),
        (torch.zeros(0, 4), torch.zeros(0).long(), BadData, "WB105.*no row"),
        (torch.zeros(2, 4), torch.tensor([0, -1]), BadData, r"from -1 to 0.*`fetch_full`"),
        (torch.zeros(2, 4), torch.tensor([0, 4]), BadData, "from 0 to 4.*0 to 3 are allowed"),
    ],
)
def test_what_cannot_be_judged_is_refused(
    logits: torch.Tensor, labels: torch.Tensor, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        TASK.evaluate(logits, labels)


def test_the_name_in_a_file_finds_the_task_and_comes_back() -> None:
    pick: TypeAdapter[Any] = TypeAdapter(Annotated[Task, Pick(TASKS)])
    task = pick.validate_python("classification")
    assert isinstance(task, Classification) and task.given() == "classification"
    assert (task.unit, task.metric, task.label_shape) == ("sample", "accuracy", ())
