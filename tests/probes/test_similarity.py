"""The live map of layers is CKA as it is defined, cell by cell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.functional.cka import linear_cka
from workbench.probes.similarity import SimilarityProbe


def numpy_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Biased linear CKA of Kornblith et al. 2019, eq. 3, in float64."""
    x, y = (features - features.mean(0) for features in (x, y))
    cross = np.linalg.norm(y.T @ x) ** 2
    return float(cross / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)))


@pytest.fixture(scope="module")
def found(scene):
    return SimilarityProbe(scene.pair).measure(scene.student_look)


def test_each_cell_is_the_similarity_of_its_teacher_and_student_layer(scene, found):
    teacher, student = scene.pair.teacher.features, scene.student_look.features
    assert found.arrays["unbiased"].shape == (len(teacher), len(student))
    for row, theirs in enumerate(teacher):
        for column, mine in enumerate(student):
            biased = numpy_cka(theirs.double().numpy(), mine.double().numpy())
            assert found.arrays["biased"][row, column] == pytest.approx(biased, abs=1e-4)
            unbiased = float(linear_cka(mine.double(), theirs.double(), unbiased=True))
            assert found.arrays["unbiased"][row, column] == pytest.approx(unbiased, abs=1e-4)


def test_the_null_level_is_below_the_trained_last_layers_and_above_minus_one(found):
    null = found.arrays["null_p95"]
    assert np.isfinite(null).all()
    assert (null < 0.5).all()
    assert found.arrays["unbiased"][-1, -1] > null[-1, -1]


def test_a_layer_that_says_nothing_has_no_cell_but_a_reason(scene):
    features = list(scene.student_look.features)
    features[0] = torch.zeros_like(features[0])
    dead = SimilarityProbe(scene.pair).measure(replace(scene.student_look, features=features))
    assert np.isnan(dead.arrays["unbiased"][:, 0]).all()
    assert np.isfinite(dead.arrays["unbiased"][:, 1:]).all()
    assert list(dead.facts["student_reasons"]) == [scene.pair.student_layers[0]]


def test_the_map_names_its_layers_and_its_n(scene, found):
    assert found.facts["n"] == 100
    assert found.facts["teacher_layers"] == list(scene.teacher.facts.layers)
    assert found.facts["student_layers"] == list(scene.student.facts.layers)
