"""The page of a comparison as plain data: who stands out, what is said, what is refused."""

from __future__ import annotations

import json

import pytest
from workbench_widgets.words import NONE

from workbench.dashboard.address import Compared
from workbench.dashboard.after import group_words
from workbench.dashboard.compare import MOST_LINES, compare_page, group_link
from workbench.dashboard.compare_rows import _verdict
from workbench.runs.comparison import MEASURES, compare

from ..runs.written import SPLITS, Written

TEMPERATURE = "stages.main.terms.kd.temperature"
HOT = {TEMPERATURE: 8.0}


@pytest.fixture
def written(tmp_path):
    made = Written(tmp_path)
    yield made
    made.store.close()


def page(written, *runs, **asked):
    return compare_page(written.store, Compared(runs, **asked))


def rows_of(shown):
    return {row["run"]: row for row in shown["rows"]}


@pytest.mark.parametrize(
    "asked",
    [
        Compared(),
        Compared(("a-1", "b-2")),
        Compared(("a-1",), against="a-1-control", measure="test-nll", focus="a-1"),
        Compared(("a-1",), along="share", lines="seeds"),
    ],
)
def test_an_address_says_what_it_was_made_from(asked):
    query = asked.address.removeprefix("/?")
    told = dict(part.split("=") for part in query.split("&"))
    arguments = {name: [value.encode()] for name, value in told.items()}
    assert Compared.read(arguments) == asked


def test_an_address_of_another_page_is_none_and_a_messy_one_is_read():
    assert Compared.read({"run": [b"a-1"]}) is None
    assert Compared.read({"compare": [b" a-1,,b-2 ,a-1"]}) == Compared(("a-1", "b-2"))


def test_the_first_setting_is_the_baseline_and_the_next_stands_out(written):
    base = [written.run(0.5, seed=seed) for seed in (0, 1, 2)]
    hot = [written.run(0.6, seed=seed, changes=HOT) for seed in (0, 1, 2)]
    cold = written.run(0.4, changes={TEMPERATURE: 1.0})
    shown = page(written, *base, *hot, cold)
    assert (shown["against"], shown["focus"]) == (base[0], hot[0])
    styles = {run: (row["role"], row["dash"]) for run, row in rows_of(shown).items()}
    assert styles == {
        base[0]: ("baseline", "solid"),
        hot[0]: ("focus", "solid"),
        cold: ("other", "dash"),
    }
    assert shown["head"] == "7 runs in 3 settings"
    assert rows_of(shown)[hot[0]]["words"] == "3 seeds · 60 steps"
    moved = page(written, *base, *hot, cold, focus=cold, against=hot[1])
    assert (moved["against"], moved["focus"]) == (hot[0], cold)
    assert moved["answers"]["first"] == "small, kd.temperature 1"


def test_the_rows_hold_the_numbers_that_the_command_line_prints(written):
    base = [written.run(0.5 + seed / 50, seed=seed, control=0.3) for seed in (0, 1, 2)]
    hot = [written.run(0.6, seed=seed, changes=HOT) for seed in (0, 1, 2)]
    told = compare(written.store, [*base, *hot])["settings"][1]["difference"]
    shown = rows_of(page(written, *base, *hot))[hot[0]]
    assert [point["value"] for point in shown["difference"]["points"]] == [
        pytest.approx(100 * pair["value"]) for pair in told["pairs"]
    ]
    assert shown["difference"]["interval"] == pytest.approx([100 * end for end in told["interval"]])
    cells = dict(zip(("last", "best", "lately", "test", "nll", "ece"), shown["cells"], strict=True))
    assert cells["test"] == ["60.0", "sd 0.0"]
    assert cells["nll"][0] == "0.400"
    assert cells["lately"] == ["40.0", "sd 0.0, k = 5"]


def test_the_axis_holds_zero_every_dot_and_every_interval(written):
    base = [written.run(0.5, seed=seed) for seed in range(4)]
    hot = [written.run(0.3 + 0.1 * seed, seed=seed, changes=HOT) for seed in range(4)]
    shown = page(written, *base, *hot)
    axis, told = shown["axis"], rows_of(shown)[hot[0]]["difference"]
    reach = [0, *told["interval"], *(point["value"] for point in told["points"])]
    assert axis["low"] <= min(reach) and axis["high"] >= max(reach)
    assert "0" in [tick["text"] for tick in axis["ticks"]]


@pytest.mark.parametrize(
    "hot, verdict",
    [
        ((0.6, 0.61, 0.62), "better"),
        ((0.4, 0.39, 0.38), "worse"),
        ((0.45, 0.5, 0.55), "not told apart"),
    ],
)
def test_the_interval_is_said_in_a_word(written, hot, verdict):
    base = [written.run(0.5, seed=seed) for seed in range(3)]
    others = [written.run(value, seed=seed, changes=HOT) for seed, value in enumerate(hot)]
    told = rows_of(page(written, *base, *others))[others[0]]["difference"]
    assert told["verdict"] == verdict


def test_fewer_is_better_where_the_measure_says_so():
    low, high = MEASURES["test-nll"], MEASURES["test-accuracy"]
    assert (_verdict([0.1, 0.2], low), _verdict([0.1, 0.2], high)) == ("worse", "better")


def test_few_seeds_say_too_few_and_other_rows_say_why(written):
    base = [written.run(0.5, seed=seed) for seed in (0, 1)]
    hot = [written.run(0.6, seed=seed, changes=HOT) for seed in (0, 1)]
    other = {**SPLITS, "test": {"rows": 9, "hash": "else"}}
    strange = written.run(0.7, changes={TEMPERATURE: 1.0}, told={"splits": other})
    rows = rows_of(page(written, *base, *hot, strange))
    assert rows[hot[0]]["difference"]["interval_text"] == "too few for an interval"
    assert rows[hot[0]]["difference"]["interval"] is None
    assert rows[hot[0]]["difference"]["verdict"] == "", "nothing is said without an interval"
    assert rows[strange]["difference"] == {"refused": "other test rows: not subtracted"}
    assert rows[strange]["cells"][3][0] == "70.0"


def test_a_run_that_did_not_end_says_its_step_and_leaves_test_open(written):
    base = written.run(0.5)
    run = written.run(0.6, changes=HOT, steps=[0, 10, 20], status="interrupted")
    row = rows_of(page(written, base, run))[run]
    assert row["words"] == "seed 0 · △ Interrupted at step 20"
    assert row["cells"][0][0] == "20.0"
    assert row["cells"][2][0] == row["cells"][3][0] == NONE
    assert row["cells"][4][1] == "on probe"


def test_what_cannot_be_shown_is_said_and_the_rest_is_shown(written):
    run = written.run(0.5)
    shown = page(written, run, "nothing-here", against="nobody")
    assert [row["run"] for row in shown["rows"]] == [run]
    assert "No run 'nothing-here'" in shown["notes"][0]
    assert "Baseline 'nobody'" in shown["notes"][1]
    assert shown["address"] == f"/?compare={run}"
    assert "One setting alone" in shown["answers"]["refused"]
    assert page(written, "nothing-here")["empty"] is True
    empty = page(written)
    assert (empty["empty"], empty["notes"], empty["address"]) == (True, [], "/?compare=")


def test_the_address_holds_how_the_curves_are_drawn_as_far_as_they_can_be(written):
    run = written.run(0.5)
    shown = page(written, run, along="epoch", lines="mean")
    assert (shown["along"], shown["lines"]) == ("epoch", "mean")
    assert shown["address"] == f"/?compare={run}&along=epoch"
    shown = page(written, run, along="fortnight", lines="seeds")
    assert (shown["along"], shown["lines"]) == ("step", "seeds")
    assert shown["address"] == f"/?compare={run}&lines=seeds"
    assert shown["notes"] == [
        "`along=fortnight` in the address is unknown. Allowed: step, epoch, share."
    ]


def test_what_is_not_there_can_be_added_by_setting_and_a_setting_taken_away(written):
    store = written.store
    base = [written.run(0.5, seed=seed) for seed in (0, 1)]
    given = [written.spec({**HOT, "seed": seed}).given() for seed in range(3)]
    group = store.runs.create_all(given, name="hot", options={})
    shown = page(written, *base)
    assert shown["more"] == [{"run": group[0], "words": f"hot, 3 seeds ({group[0]})"}]
    both = page(written, *base, *group, against=base[0], focus=group[0])
    assert both["more"] == []
    away = rows_of(both)[group[0]]["without"]
    assert away == f"/?compare={base[0]},{base[1]}&against={base[0]}"
    assert rows_of(both)[base[0]]["without"].endswith(f"&focus={group[0]}")


def test_against_a_control_the_answers_are_those_of_two_students(written):
    run = written.run(0.5, control=0.3)
    other = written.run(0.6, changes=HOT, right=[0, 1, 1, 1, 1, 1, 1, 1])
    shown = page(written, run, other, against=f"{run}-control", focus=other)
    assert shown["answers"]["read"].startswith("Against small, kd.temperature 4: a control keeps")
    cells = {cell["cell"]: cell["value"] for cell in shown["answers"]["cells"]}
    assert cells == {"first": 0, "second": 1, "both": 7, "neither": 0}
    alone = page(written, run)
    assert "A control keeps its numbers" in alone["answers"]["refused"]


def test_the_tree_says_of_how_many_samples_its_accuracies_are(written):
    runs = [written.run(0.5), written.run(0.5, seed=1)]
    rows = {written.store.runs.get(run).protocol["splits"]["probe"]["rows"] for run in runs}
    tree = page(written, *runs)["tree"]
    assert tree["footer"] == f"Percentages: probe accuracy, n = {rows.pop()}, at the last look."
    assert {line["of"] for line in tree["lines"]} == {"probe, n = 8"}
    assert page(written, *runs)["curves"]["n"] == 8


def test_with_many_runs_the_tree_has_one_of_each_setting(written):
    runs = [written.run(seed=seed) for seed in range(MOST_LINES)]
    fork = written.run(changes=HOT, parent=runs[0], forked_at=20)
    shown = page(written, *runs, fork)
    assert [line["run"] for line in shown["tree"]["lines"]] == [runs[0], fork]
    assert shown["tree"]["footer"].startswith(f"One run of each setting, {MOST_LINES + 1} in all.")
    few = page(written, fork)["tree"]["lines"]
    assert [(line["run"], line["role"]) for line in few] == [(runs[0], "parent"), (fork, "focus")]


def test_a_page_is_json_without_nan(written):
    shown = page(written, written.run(control=0.2), written.run(changes=HOT, status="failed"))
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown


def test_a_run_of_a_group_links_to_its_group(written):
    store = written.store
    given = [written.spec({"seed": seed}).given() for seed in range(5)]
    runs = store.runs.create_all(given, name="small", options={})
    link = {"href": f"/?compare={','.join(runs)}", "words": "its 5 seeds"}
    assert group_link(store, runs[2]) == link
    swept = [written.spec({TEMPERATURE: value}).given() for value in (1.0, 2.0)]
    first = store.runs.create_all(swept, name="small", options={})[0]
    assert group_link(store, first)["words"] == "its sweep of 2 runs"
    told = [group_words(store.runs.cohort(run)) for run in (runs[2], first, written.run())]
    assert told == ["5 seeds", "2 runs of its sweep", ""], "as its result says below its numbers"
    assert group_link(store, written.run()) is None
