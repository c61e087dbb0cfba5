"""Which runs are one setting, what they are called, and what sets them apart."""

from __future__ import annotations

import pytest

from workbench.errors import BadInput, UnknownRun
from workbench.runs.settings import by_setting, differences, member, seeds_of, settings_of

from .written import Written

TEMPERATURE = "stages.main.terms.kd.temperature"


@pytest.fixture
def written(tmp_path):
    made = Written(tmp_path)
    yield made
    made.store.close()


def settings(written, *runs):
    return settings_of(member(written.store, run) for run in runs)


def test_runs_that_differ_in_their_seed_only_are_one_setting(written):
    first, second = written.run(seed=3), written.run(seed=7)
    hotter = written.run(seed=3, changes={TEMPERATURE: 8.0})
    found = settings(written, first, hotter, second)
    assert [[one.id for one in setting.members] for setting in found] == [[first, second], [hotter]]
    assert found[0].by_seed[7].id == second


def test_a_default_that_is_written_out_is_the_same_setting(written):
    plain = written.run(seed=0)
    kd = written.spec().stage.terms["kd"]
    said = written.run(seed=1, changes={TEMPERATURE: kd.temperature})
    assert len(settings(written, plain, said)) == 1


def test_a_run_with_a_control_is_the_setting_of_one_without(written):
    with_control = written.run(seed=0, changes={"control": True}, control=0.4)
    alone = written.run(seed=1, changes={"control": False})
    assert len(settings(written, with_control, alone)) == 1


def test_a_run_that_was_touched_is_a_setting_of_its_own(written):
    first, second = written.run(seed=0), written.run(seed=1)
    written.changed(second, 20, TEMPERATURE, 4.0, 2.0)
    found = settings(written, first, second)
    assert len(found) == 2
    assert differences(found) == [{"path": "from step 20: kd.temperature", "values": ["–", "2"]}]


def test_a_second_run_of_one_seed_is_not_taken_for_another_seed(written):
    first, again, third = written.run(seed=0), written.run(seed=0), written.run(seed=1)
    found = settings(written, first, again, third)
    assert [[one.id for one in setting.members] for setting in found] == [[first, third], [again]]
    assert found[0].name != found[1].name


def test_settings_of_one_name_are_told_apart_by_what_differs(written):
    found = settings(
        written,
        written.run(changes={TEMPERATURE: 2.0}),
        written.run(changes={TEMPERATURE: 8.0}),
        written.run(changes={"name": "other"}),
    )
    assert [setting.name for setting in found] == [
        "small, kd.temperature 2",
        "small, kd.temperature 8",
        "other",
    ]


def test_differences_name_every_path_that_differs_and_no_other(written):
    found = settings(
        written,
        written.run(),
        written.run(changes={"data.limit": 300, "stages.main.schedule": {"use": "constant"}}),
    )
    rows = {row["path"]: row["values"] for row in differences(found)}
    assert rows["data.limit"][1] == "300"
    assert rows["stages.main.schedule.use"] == ["cosine", "constant"]
    assert rows["stages.main.schedule.warmup"][1] == "–"
    assert not any(path.startswith(("student", "teacher", "seed")) for path in rows)
    assert differences(found[:1]) == []


def test_a_control_is_compared_by_the_id_of_its_row(written):
    run = written.run(control=0.4)
    (setting,) = settings(written, f"{run}-control")
    assert (setting.first.part, setting.first.row.id) == ("control", run)
    assert setting.name == "control of small"
    assert setting.first.test["accuracy"] == 0.4


def test_a_teacher_and_an_unknown_run_are_refused_in_words(written):
    run = written.run()
    spec = written.spec().given()
    store = written.store
    store.runs.create(name="a", experiment=spec, options={}, role="teacher", group=run)
    with pytest.raises(BadInput, match=f"is a teacher.*belongs to is {run}"):
        member(store, f"{run}-teacher")
    with pytest.raises(UnknownRun, match="No run 'nothing'"):
        member(store, "nothing")


def test_the_seeds_of_a_run_in_a_sweep_are_those_of_its_own_value(written):
    store = written.store
    given = [
        written.spec({TEMPERATURE: value, "seed": seed}).given()
        for value in (1.0, 2.0)
        for seed in (0, 1)
    ]
    runs = store.runs.create_all(given, name="small", options={})
    assert [row.id for row in seeds_of(store, runs[3])] == runs[2:]
    groups = by_setting(store.runs.cohort(runs[0]))
    assert [[row.id for row in group] for group in groups] == [runs[:2], runs[2:]]
