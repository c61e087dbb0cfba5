"""Numbers of some samples: those that the probes themselves find on just these rows."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from workbench.functional.calibration_null import calibration_band, ece_null, wilson_interval
from workbench.functional.calibration_table import ReliabilityTable
from workbench.functional.quantiles import binomial_quantile, pearson3_quantile
from workbench.probes.answers import answers
from workbench.probes.predictions import CalibrationProbe, LoyaltyProbe, TrilateralProbe
from workbench.probes.probe import Pair
from workbench.probes.view import Look, Rows
from workbench.runs import chance
from workbench.runs.history import Answered
from workbench.runs.selected import (
    Chosen,
    Untold,
    accuracies,
    each_sample,
    ids_of,
    of_calibration,
    restricted,
    tables_of,
)
from workbench.store import Snapshot

N, K, VAL = 160, 6, 90
PROBES = {"trilateral": TrilateralProbe, "calibration": CalibrationProbe, "loyalty": LoyaltyProbe}


@pytest.fixture(scope="module")
def scene():
    draw = torch.Generator().manual_seed(3)
    labels = torch.randint(0, K, (N + VAL,), generator=draw)
    truth = torch.nn.functional.one_hot(labels, K).float()
    teacher = 2.0 * truth + torch.randn(N + VAL, K, generator=draw)
    student = 1.2 * truth + 0.4 * teacher + torch.randn(N + VAL, K, generator=draw)
    ids = torch.randperm(3000, generator=draw)[:N].sort().values

    def seen(rows):
        rows_of = Rows(ids[rows], torch.zeros(len(rows)), labels[:N][rows],
                       torch.zeros(VAL), labels[N:], 0)  # fmt: skip
        looks = [Look(logits[:N][rows], logits[N:]) for logits in (student, teacher)]
        pair = Pair(rows_of, looks[1], (), (), [str(k) for k in range(K)])
        arrays, facts = {}, {}
        for name, kind in PROBES.items():
            found = kind(pair).measure(looks[0])
            arrays |= {f"{name}.{key}": values for key, values in found.arrays.items()}
            facts[name] = dict(found.facts)
        return arrays | answers(looks[0].logits, looks[1].logits, rows_of), facts

    return seen


def parts(arrays, view):
    return {n.removeprefix(f"{view}."): v for n, v in arrays.items() if n.startswith(f"{view}.")}


def half(scene):
    arrays, facts = scene(torch.arange(N))
    rows = np.arange(N) % 3 == 1
    chosen = Chosen.among(ids_of(arrays)[rows].tolist(), arrays)
    assert chosen is not None and chosen.rows.tolist() == rows.tolist()
    return arrays, facts, chosen, scene(torch.as_tensor(rows.nonzero()[0]))


def test_a_selection_has_the_calibration_that_the_probe_finds_on_its_rows_alone(scene):
    arrays, facts, chosen, (alone, told) = half(scene)
    found, said = restricted(
        "calibration", parts(arrays, "calibration"), facts["calibration"], chosen, arrays
    )
    for name, expected in parts(alone, "calibration").items():
        if "_each_" not in name:
            np.testing.assert_allclose(found[name], expected, atol=2e-7, err_msg=name)
    for who in ("student", "teacher"):
        for name, expected in told["calibration"][who].items():
            assert said[who][name] == pytest.approx(expected, rel=2e-6), (who, name)
    assert said["n"] == chosen.n == int(found["student_count"].sum())


def test_a_selection_has_the_loyalty_that_the_probe_finds_on_its_rows_alone(scene):
    arrays, facts, chosen, (alone, told) = half(scene)
    found, said = restricted("loyalty", parts(arrays, "loyalty"), facts["loyalty"], chosen, arrays)
    np.testing.assert_array_equal(found["table"], alone["loyalty.table"])
    np.testing.assert_array_equal(found["by_class"], alone["loyalty.by_class"])
    for name in ("label_loyalty", "probability_loyalty", "copied", "teacher_wrong", "kl_nats", "n"):
        assert said[name] == pytest.approx(told["loyalty"][name], rel=1e-6), name
    rights = [arrays["loyalty.student_right"] > 0]
    theirs = arrays["answers.labels"] == arrays["answers.teacher_class"]
    np.testing.assert_array_equal(tables_of(rights, theirs, chosen)[0], found["table"])


def test_accuracy_over_training_is_that_of_the_rows_with_the_teacher_that_stood_then(scene):
    arrays, _, chosen, (alone, _) = half(scene)
    other = {**arrays, "answers.teacher_class": arrays["answers.labels"]}
    answered = []
    for step, held in ((0, arrays), (10, arrays), (20, other)):
        answered.append(Answered.of(Snapshot(step, held, {}), answered[-1:]))
    assert answered[1].teacher is answered[0].teacher, "kept once"
    found = accuracies(answered, chosen)
    assert found["selected_steps"].tolist() == [0, 10, 20]
    student = np.mean(alone["answers.student_class"] == alone["answers.labels"])
    teacher = np.mean(alone["answers.teacher_class"] == alone["answers.labels"])
    np.testing.assert_allclose(found["selected_student"], student)
    np.testing.assert_allclose(found["selected_teacher"], [teacher, teacher, 1.0])
    assert accuracies([], chosen) == {}


def test_all_samples_selected_are_what_the_snapshot_says(scene):
    arrays, facts = scene(torch.arange(N))
    chosen = Chosen.among(ids_of(arrays).tolist(), arrays)
    found, _ = of_calibration(parts(arrays, "calibration"), facts["calibration"], chosen)
    for name, expected in parts(arrays, "calibration").items():
        np.testing.assert_allclose(found[name], expected, atol=2e-7, err_msg=name)


def test_a_click_finds_exactly_the_samples_that_a_number_counts(scene):
    arrays, _ = scene(torch.arange(N))
    bins = each_sample("calibration", arrays)
    for who in ("student", "teacher"):
        for suffix in ("", "_scaled"):
            counted = np.bincount(bins[f"bin_{who}{suffix}"], minlength=15)
            np.testing.assert_array_equal(counted, arrays[f"calibration.{who}_count{suffix}"])
    cells = each_sample("loyalty", arrays)
    counted = np.bincount(cells["cell"], minlength=4).reshape(2, 2)
    np.testing.assert_array_equal(counted, arrays["loyalty.table"])
    by_class = np.bincount(cells["labels"][cells["copied"] > 0], minlength=K)
    np.testing.assert_array_equal(by_class, arrays["loyalty.by_class"][1])


def test_too_few_samples_and_an_older_run_say_why_there_is_no_number(scene):
    arrays, facts = scene(torch.arange(N))
    few = Chosen.among(ids_of(arrays)[:9].tolist(), arrays)
    with pytest.raises(Untold, match=r"Not defined for n = 9\. .* needs 10 samples"):
        restricted("calibration", parts(arrays, "calibration"), facts["calibration"], few, arrays)
    older = {
        name: v for name, v in arrays.items() if "_each_" not in name and "likeness" not in name
    }
    some = Chosen.among(ids_of(arrays)[:20].tolist(), older)
    for view in ("calibration", "loyalty"):
        with pytest.raises(Untold, match="recorded before"):
            restricted(view, parts(older, view), facts[view], some, older)


def test_ids_that_the_snapshot_does_not_have_select_nothing(scene):
    arrays, _ = scene(torch.arange(N))
    assert Chosen.among([5000, 5001], arrays) is None
    assert Chosen.among([], arrays) is None
    known = int(ids_of(arrays)[4])
    assert Chosen.among([known, 5000, known], arrays).ids == (known,)


@pytest.mark.parametrize("n", [10, 37, 252, 4000])
def test_intervals_bands_and_null_without_torch_are_those_with_torch(n):
    draw = np.random.default_rng(n)
    top = np.clip(draw.beta(5, 2, n), 1 / 15, 1.0)
    top[:3] = [1.0, 3 / 15, 0.2]
    right = draw.random(n) < top
    mine = chance.Table.of(top, right)
    theirs = ReliabilityTable()
    theirs.update(torch.as_tensor(top), torch.as_tensor(right))
    np.testing.assert_array_equal(mine.count, theirs.count.numpy())
    columns = mine.columns()
    band = [end.numpy() for end in calibration_band(theirs)]
    wilson = [end.numpy() for end in wilson_interval(torch.as_tensor(mine.hits), theirs.count)]
    np.testing.assert_array_equal(columns["band_low"], band[0])
    np.testing.assert_array_equal(columns["band_high"], band[1])
    np.testing.assert_allclose(columns["wilson_low"], wilson[0], atol=1e-12)
    np.testing.assert_allclose(columns["wilson_high"], wilson[1], atol=1e-12)
    assert mine.ece() == pytest.approx(theirs.ece(), abs=1e-12)
    assert mine.ece_null() == pytest.approx(ece_null(theirs)[1], rel=1e-9)


def test_quantiles_without_torch_are_those_with_torch():
    count = np.array([0, 1, 9, 500, 20_000, 60, 60])
    success = np.array([0.4, 0.5, 0.999, 0.3, 0.97, 0.0, 1.0])
    found = chance.binomial_quantiles(chance.TAILS, count.astype(float), success)
    for row, tail in zip(found, chance.TAILS, strict=True):
        expected = binomial_quantile(tail, torch.as_tensor(count), torch.as_tensor(success))
        np.testing.assert_array_equal(row[1:], expected.numpy()[1:])
        assert row[0] == 0
    for skewness in (0.0, 5e-4, 2e-3, 0.05, 0.3, 1.0, 3.0):
        expected = float(pearson3_quantile(0.95, torch.tensor(skewness, dtype=torch.float64)))
        close = 1e-9 if skewness > 0.01 else 1e-7  # a shape of a million loses digits in lgamma
        assert chance.pearson3_quantile(0.95, skewness) == pytest.approx(expected, abs=close)


def test_the_page_process_needs_no_torch_for_a_selection():
    code = (
        "import sys, json, workbench.runs.frames, workbench.runs.selected;"
        "print(json.dumps('torch' in sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(said.stdout) is False


def test_what_a_mix_gives_each_sample_comes_with_the_wedge_and_with_no_other_view(scene):
    arrays, _ = scene(torch.arange(N))
    assert each_sample("trilateral", arrays) == {}
    given = np.linspace(0, 1, N).astype(np.float32)
    found = each_sample("trilateral", {**arrays, "ratio.fuse": given, "ratio.short": given[:3]})
    assert list(found) == ["ratio fuse"] and found["ratio fuse"] is given
    assert "ratio fuse" not in each_sample("loyalty", {**arrays, "ratio.fuse": given})
