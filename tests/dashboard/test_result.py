"""The card of numbers: what stands on test, what on probe, and why a number is not there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from workbench.dashboard.result import ITSELF, NULL, UNKNOWN, result
from workbench.dashboard.summary import rail
from workbench.runs.beside import Beside
from workbench.runs.frames import Frames
from workbench.runs.history import History
from workbench.runs.tables import sheets_of_run
from workbench.store.metrics import Series
from workbench.training.card import caption
from workbench.training.journal import Event

TOLD = ("n", "label_loyalty", "copied", "teacher_wrong")


@pytest.fixture(scope="module")
def history(finished):
    return History.load(finished.store, finished.run)


def rows(card, part):
    return {name: values for name, *values in card["parts"][part]["rows"]}


def counted(finished, run):
    """The same numbers by hand, from the answers of a run's last snapshot."""
    arrays = finished.store.last_snapshot(run).arrays
    found = zip(
        *(arrays[f"answers.{name}"].tolist() for name in ("labels", "student_class")),
        arrays["answers.teacher_class"].tolist(),
        strict=True,
    )
    answers = list(found)
    same = sum(mine == theirs for _, mine, theirs in answers)
    wrong = [(mine, theirs) for label, mine, theirs in answers if theirs != label]
    return len(answers), same / len(answers), sum(mine == theirs for mine, theirs in wrong), wrong


def test_the_result_is_the_one_on_test_with_its_difference_in_points(history):
    card = result(history)
    metrics = history.row.result["metrics"]
    assert card["title"] == "Result"
    assert card["columns"] == ["student", "teacher", "control"]
    assert rows(card, 0)["accuracy, %"] == [
        f"{100 * metrics[who]['accuracy']:.1f}" for who in card["columns"]
    ]
    assert card["parts"][0]["of"] == f"test, n = {history.row.protocol['splits']['test']['rows']}"
    gap = 100 * (metrics["student"]["accuracy"] - metrics["control"]["accuracy"])
    assert f"{abs(gap):.1f} percentage points" in card["notes"][0]
    assert card["notes"][0].startswith("Student minus control (labels only): ")
    assert "One seed" in card["notes"][0]


def test_ece_stands_beside_what_chance_alone_gives_on_the_same_rows(history):
    told, chance = rows(result(history), 0), history.row.protocol["chance"]
    assert list(told) == ["accuracy, %", "NLL, nats", "ECE, %", NULL]
    assert told[NULL] == [
        f"{100 * chance[who]['ece_null_p95']:.1f}" for who in ("student", "teacher", "control")
    ]
    older = {key: value for key, value in history.row.protocol.items() if key != "chance"}
    card = result(replace(history, row=replace(history.row, protocol=older)))
    assert NULL not in rows(card, 0)
    assert "was not recorded" in card["notes"][-1]
    probed = history.latest.facts["calibration"]["student"]["ece_null_p95"]
    so_far = result(replace(history, row=replace(history.row, result=None)))
    assert rows(so_far, 0)[NULL][0] == f"{100 * probed:.1f}"


def test_loyalty_and_copied_errors_are_the_last_snapshots_of_student_and_control(history, finished):
    card = result(history)
    n, *student = counted(finished, finished.run)
    _, *control = counted(finished, f"{finished.run}-control")
    assert card["parts"][1]["of"] == f"probe, n = {n}, step {history.steps[-1]}"
    told = rows(card, 1)
    loyal = [f"{100 * share:.1f}" for share, *_ in (student, control)]
    assert told["label loyalty, %"] == [loyal[0], ITSELF, loyal[1]]
    wrong = len(student[2])
    copied = [str(found[1]) for found in (student, control)]
    assert told[f"copied errors, of {wrong}"] == [copied[0], ITSELF, copied[1]]
    probed = history.latest.facts["loyalty"]  # another truth: the loyalty view's own numbers
    assert [probed[name] for name in TOLD] == [n, *student[:2], wrong]
    assert student[0] != control[0], "a control that agrees as much as the student proves nothing"


def test_the_file_of_the_card_holds_what_the_card_shows(history, finished):
    on_test, against = sheets_of_run(finished.store, finished.run, "result")
    for row in on_test.rows:
        assert row[-1] == history.row.protocol["chance"][row[0]]["ece_null_p95"]
    assert [row[0] for row in on_test.rows] == ["teacher", "student", "control"]
    assert against.columns[2:] == (
        "n",
        "step",
        "label loyalty",
        "copied errors",
        "teacher's errors",
    )
    for row, run in zip(against.rows, (finished.run, f"{finished.run}-control"), strict=True):
        n, share, copied, wrong = counted(finished, run)
        assert row[1:] == ("probe", n, history.steps[-1], share, copied, len(wrong))


def test_a_run_of_before_answers_were_kept_tells_what_its_loyalty_view_told(history):
    arrays = {name: one for name, one in history.latest.arrays.items() if "answers" not in name}
    older = replace(history, latest=replace(history.latest, arrays=arrays), beside=Beside())
    told, now = rows(result(older), 1), rows(result(history), 1)
    for name, values in told.items():
        assert values == [*now[name][:2], UNKNOWN]
    assert result(older)["notes"][-1].endswith("recorded before a control's answers were kept.")


def test_where_the_control_was_not_looked_at_the_card_says_why_and_shows_no_number(history):
    changed = Event(20, "set", "you", {"path": "teacher", "before": "a", "after": "b"})
    for other, why in (
        (replace(history, beside=Beside(), similarity=[]), "not among the probes"),
        (replace(history, events=[*history.events, changed]), "was changed in mid-run"),
    ):
        card = result(other)
        assert all(values[2] == UNKNOWN for values in rows(card, 1).values())
        assert why in card["notes"][-1]


def test_answers_to_other_samples_are_not_set_beside_the_students(history):
    agreed = replace(history.beside.agreed, n=history.beside.agreed.n - 1)
    card = result(replace(history, beside=replace(history.beside, agreed=agreed)))
    assert rows(card, 1)["label loyalty, %"][2] == UNKNOWN


def test_a_control_that_still_trains_has_no_number_yet(history):
    metrics = {**history.row.result["metrics"], "control": None}
    so_far = {key: value for key, value in history.row.protocol.items() if key != "chance"}
    told = {**history.row.result, "metrics": metrics}
    row = replace(history.row, result=told, protocol=so_far)
    for status, words in (("training", "still trains"), ("failed", "did not reach its end")):
        card = result(replace(history, row=replace(row, status=status)))
        assert card["notes"] == [f"The control {words}."]
        assert all(
            values[2] in ("–", UNKNOWN) for part in (0, 1) for values in rows(card, part).values()
        )


def test_a_run_without_a_control_has_no_column_of_it(history):
    metrics = {**history.row.result["metrics"], "control": None}
    plain = {**history.row.experiment, "control": False}
    row = replace(history.row, result={**history.row.result, "metrics": metrics}, experiment=plain)
    card = result(replace(history, row=row))
    assert (card["columns"], card["notes"]) == (["student", "teacher"], [])
    assert all(len(values) == 2 for part in (0, 1) for values in rows(card, part).values())


def test_the_result_stands_on_its_protocol(history):
    n = history.row.protocol["splits"]["test"]["rows"]
    footer = result(history)["footer"]
    assert footer == caption(history.row.protocol)
    assert footer.startswith(f"test, n = {n}, last step; seed 0; teacher ")


def test_the_result_tells_what_all_seeds_of_its_group_say(history):
    told = {"mean": 0.0521, "sd": 0.01, "n": 5, "interval": [-0.002, 0.1064], "why": None}
    for difference, words in (
        (told, "Over 5 seeds: mean +5.2, 95 % interval \u22120.2 to +10.6."),
        ({**told, "n": 2, "interval": None, "why": "2 seeds: too few"}, "2 seeds: too few."),
        ({**told, "n": 1}, "One seed: run more"),
    ):
        card = result(replace(history, over_seeds={"difference": {"accuracy": difference}}))
        assert words in card["notes"][0]


def test_a_second_control_has_a_column_of_its_own(history):
    metrics = history.row.result["metrics"]
    told = {**history.row.result, "metrics": {**metrics, "plain_kd": metrics["student"]}}
    chance = history.row.protocol["chance"]
    chances = {**history.row.protocol, "chance": {**chance, "plain_kd": chance["student"]}}
    card = result(replace(history, row=replace(history.row, result=told, protocol=chances)))
    assert card["columns"] == ["student", "teacher", "control", "plain KD"]
    assert all(values[3] == values[0] for values in rows(card, 0).values())
    assert all(values[3] == UNKNOWN for values in rows(card, 1).values())
    assert "of plain KD are not known" in card["notes"][-1]


def test_a_run_that_did_not_end_shows_where_it_stands(history):
    row = replace(history.row, result=None, status="failed")
    card = result(replace(history, row=row))
    assert (card["title"], card["columns"]) == ("Where it stands", ["student", "teacher"])
    told = ["accuracy, %", "NLL, nats", "ECE, %", NULL, "label loyalty, %"]
    assert list(rows(card, 0))[:5] == told
    assert card["footer"].startswith(f"step {history.steps[-1]} · n = ")


def test_the_accuracy_beside_the_views_is_of_their_step_where_its_metric_is_not_there_yet(history):
    """A snapshot can be read at once, a metric up to 50 ms later: then the last one is older."""
    probe = history.probe
    late = Series(probe.columns, probe.steps[:-1], 0 * probe.values[:-1])
    running = replace(history, row=replace(history.row, result=None), probe=late)
    now = float(probe.column("accuracy")[-1])
    assert rows(result(running), 0)["accuracy, %"][0] == f"{100 * now:.1f}"
    shown = rail(running, Frames(running))["models"][0]["accuracy"]
    assert shown == f"{100 * now:.1f}\u00a0%"


def test_a_run_that_only_measures_its_layers_says_its_step_and_its_rows_as_far_as_they_are_known(
    history,
):
    layers = replace(history.latest, facts={"cka": history.latest.facts["cka"]}, arrays={})
    ended = replace(history, row=replace(history.row, result=None), latest=layers)
    n = history.row.protocol["splits"]["probe"]["rows"]
    assert result(ended)["footer"] == f"step {history.steps[-1]} · n = {n} probe"
    trains = replace(ended, row=replace(ended.row, protocol=None))
    words = f"step {history.steps[-1]} · probe, n is told at the run's end"
    assert result(trains)["footer"] == words
    begins = replace(trains, latest=None, steps=[])
    assert result(begins)["footer"] == "before the first snapshot"
