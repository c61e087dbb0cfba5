"""The second control: the same student, weights and order, under plain KD."""

from __future__ import annotations

from workbench.specs.experiment import ExperimentSpec
from workbench.training.control import PLAIN_KD, plain_kd_spec

from .conftest import SMALL, TERMS

DKD = {TERMS: {"dkd": {"use": "dkd", "weight": 1.0}, "ce": {"use": "ce", "weight": 1.0}}}


def test_beside_plain_kd_it_is_the_student_bit_for_bit(train):
    run = train({"plain_kd": True})
    assert run.metrics["plain_kd"] == run.metrics["student"]
    assert run.metrics["control"] is None
    student, second = run.series(), run.series(part="plain_kd")
    assert second.columns == student.columns
    assert second.values.tolist() == student.values.tolist()


def test_beside_another_method_it_is_plain_kd_of_the_same_seed(train, plain):
    run = train({**DKD, "plain_kd": True})
    assert run.metrics["student"] != plain.metrics["student"]
    assert run.metrics["plain_kd"] == plain.metrics["student"]


def test_it_changes_nothing_of_the_student_and_is_told_only_where_it_was_asked_for(train):
    with_it, without = train({**DKD, "plain_kd": True}), train(DKD)
    assert with_it.weights == without.weights
    assert "plain_kd" not in without.metrics
    assert {row.role for row in with_it.store.runs.list(
        roles=("student", "teacher", "control", "plain_kd"), group=with_it.run
    )} == {"student", "plain_kd"}  # fmt: skip


def test_it_follows_the_optimiser_and_the_teacher_and_nothing_of_terms_and_target():
    changes = [
        {"step": 3, "set": {"stages.main.optimiser.lr": 0.001, f"{TERMS}.dkd.weight": 0.5}},
        {"step": 5, "set": {"stages.main.target": {"use": "mix", "teacher": "cnn-small"}}},
        {"step": 7, "set": {"teacher": {"use": "cnn-small", "train": {"steps": 20}}}},
    ]
    spec = ExperimentSpec.parse(SMALL).replace({**DKD, "plain_kd": True})
    changed = spec.replace({"interventions": [changes[0], changes[2]]})
    second = plain_kd_spec(changed)
    assert {name: term.given() for name, term in second.stage.terms.items()} == PLAIN_KD
    assert [item.set for item in second.interventions] == [
        {"stages.main.optimiser.lr": 0.001},
        changes[2]["set"],
    ]
    assert (second.control, second.plain_kd) == (False, False)
    assert second.seed == spec.seed
    assert second.stage.optimiser == spec.stage.optimiser
