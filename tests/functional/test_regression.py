"""Agreement of real-valued outputs against scipy and scikit-learn."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from sklearn.metrics import r2_score

from workbench.errors import ShapeMismatch
from workbench.functional.regression import regression_fidelity


@pytest.fixture
def outputs() -> tuple[torch.Tensor, torch.Tensor]:
    teacher = torch.randn(80, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    noise = torch.randn(80, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return 0.7 * teacher + 0.3 * noise + 0.2, teacher


def test_readings_match_scipy_and_scikit_learn(outputs):
    student, teacher = (o.numpy() for o in outputs)
    actual = regression_fidelity(*outputs)
    assert actual["pearson"] == pytest.approx(stats.pearsonr(student, teacher)[0])
    assert actual["spearman"] == pytest.approx(stats.spearmanr(student, teacher)[0])
    assert actual["r2"] == pytest.approx(r2_score(teacher, student))
    assert actual["mae"] == pytest.approx(abs(student - teacher).mean())


def test_constant_offset_costs_concordance_but_not_correlation(outputs):
    _, teacher = outputs
    actual = regression_fidelity(teacher + 1, teacher)
    assert actual["pearson"] == pytest.approx(1)
    spread = float(teacher.var(correction=0))
    assert actual["ccc"] == pytest.approx(2 * spread / (2 * spread + 1))


def test_other_samples_are_refused(outputs):
    with pytest.raises(ShapeMismatch, match="same samples"):
        regression_fidelity(outputs[0][:3], outputs[1])
