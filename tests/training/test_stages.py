"""Earlier stages: what each begins with, what is refused, and that no interruption shows."""

from __future__ import annotations

import copy
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import torch

from workbench.cli.main import main
from workbench.dashboard.wording import journal
from workbench.data.images import build_data
from workbench.errors import InvalidExperiment, RefusedCommand, RunFailed
from workbench.models.weights import weights_hash
from workbench.runs.estimate import before_words, estimate_here
from workbench.runs.follow import describe
from workbench.runs.fork import fork
from workbench.runs.keeper import StoreKeeper
from workbench.runs.launch import accept
from workbench.runs.worker import work
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.files import dump_yaml
from workbench.store.housekeeping import free, survey
from workbench.store.store import Store
from workbench.training.before import looked_ahead
from workbench.training.build import new_student
from workbench.training.card import text
from workbench.training.control import control_spec
from workbench.training.journal import STAGE

from ..runs.touched import Hand, killed, untouched_torch

CPU = torch.device("cpu")
PLENTY = 1 << 40
MAE = {"mae": {"use": "mae"}}
STAGED: dict[str, Any] = {
    "name": "staged",
    "data": {"use": "digits", "limit": 200, "labels_per_class": 4},
    "teacher": {"use": "cnn-small", "width": 4, "train": {"steps": 3}},
    "student": {"use": "vit-micro", "patch": 4, "width": 8, "depth": 1, "heads": 2},
    "stages": {
        "pretrain": {
            "start": "fresh",
            "seed": 0,
            "data": {"use": "photo-patches", "count": 60},
            "terms": MAE,
            "batch_size": 16,
            "steps": 3,
        },
        "further": {"start": "pretrain", "terms": MAE, "batch_size": 16, "steps": 5},
        "restart": {
            "start": "pretrain",
            "target": {"use": "stage", "stage": "further"},
            "terms": {**MAE, "hint": {"use": "token-hint"}},
            "batch_size": 16,
            "steps": 5,
        },
        "main": {
            "start": "restart",
            "rows": {"labels": "visible"},
            "terms": {"ce": {"use": "ce"}},
            "batch_size": 16,
            "steps": 6,
        },
    },
    "probes": [],
    "device": "cpu",
}


def staged(changes: dict[str, Any] | None = None) -> ExperimentSpec:
    return ExperimentSpec.parse(copy.deepcopy(STAGED)).replace(changes or {})


def still(*names: str) -> dict[str, Any]:
    """Changes that let stages end with the weights that they begin with."""
    return {f"stages.{name}.optimiser.lr": 0.0 for name in names}


@pytest.fixture
def hand(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hand]:
    with untouched_torch():
        yield Hand(store, monkeypatch)


def trained(hand: Hand, changes: dict[str, Any] | None = None, **options: Any) -> str:
    """Train the staged experiment with changes, or until it is killed."""
    run = accept(hand.store, staged(changes), base=Path.cwd(), threads=1)
    return hand.train(run, **{"checks": False, **options})


def lines(hand: Hand, run: str) -> dict[str, dict[str, Any]]:
    """What the journal says of each stage."""
    told = [event for event in hand.store.journal.events(run) if event.kind == STAGE]
    assert len({event.payload["stage"] for event in told}) == len(told), "a stage was told twice"
    return {event.payload["stage"]: dict(event.payload) for event in told}


def hashes(hand: Hand, run: str) -> dict[str, str]:
    """Weights of each stage, and of the student."""
    made = {name: str(line["weights"]) for name, line in lines(hand, run).items()}
    return {**made, "main": hand.weights(run)}


def parts_of(hand: Hand, run: str) -> set[str]:
    """Roles of the parts that have a row: those that were trained for this run."""
    return {row.role for row in hand.store.runs.list(roles=None, group=run)} - {"student"}


def own_weights(store: Store, seed: int) -> str:
    """Hash of the weights that a seed gives."""
    spec = staged({"seed": seed})
    data = build_data(spec.data, base=Path.cwd(), seed=seed, device=CPU)
    return weights_hash(new_student(spec, data, StoreKeeper(store, ""), CPU, None))


@pytest.fixture(scope="module")
def whole(store: Store) -> Iterator[str]:
    """The staged experiment with its control, trained in one go."""
    with pytest.MonkeyPatch.context() as patch, untouched_torch():
        yield trained(Hand(store, patch), {"control": {"stages.main.start": "further"}})


# -- what each begins with --------------------------------------------------------------------


def test_each_stage_begins_with_the_weights_that_it_names(hand):
    run = trained(hand, {**still("restart", "main"), "seed": 5})
    found = hashes(hand, run)
    assert found["restart"] == found["pretrain"] != found["further"]
    assert found["main"] == found["restart"]
    told = lines(hand, run)
    assert told["restart"]["distance"] == 0.0 < told["further"]["distance"]
    assert [told[name]["start"] for name in ("pretrain", "further")] == [None, "pretrain"]


def test_fresh_gives_the_weights_of_the_stage_s_own_seed(hand, store):
    run = trained(hand, {**still("pretrain", "main"), "stages.main.start": "fresh", "seed": 7})
    found = hashes(hand, run)
    assert found["pretrain"] == own_weights(store, 0)
    assert found["main"] == own_weights(store, 7) != found["pretrain"]


def test_without_a_start_a_stage_begins_where_the_one_before_it_ended(hand):
    run = trained(hand, {**still("main"), "stages.main.start": None})
    assert staged({"stages.main.start": None}).start_of("main") == "restart"
    found = hashes(hand, run)
    assert found["main"] == found["restart"]


def test_the_control_begins_with_what_it_names_and_shares_the_stages(hand):
    changes = {**still("main"), "control": {"stages.main.start": "further"}}
    run = trained(hand, changes)
    student, control = (hand.row(run).result["metrics"][part] for part in ("student", "control"))
    assert student != control
    other = trained(hand, {**still("main"), "stages.main.start": "further"})
    assert hand.row(other).result["metrics"]["student"] == control


def test_what_a_stage_learns_from_counts_and_its_classifier_stays(hand, whole):
    """MAE and the hint read no logits: the classifier gets no gradient, not even decay."""
    store = hand.store
    keys = {line["weights"] for line in lines(hand, whole).values()}
    assert len(keys) == 3, "restart differs from further: the hint is felt"
    from safetensors.torch import load_file

    files = (store.folder / "teachers").glob("*/weights.safetensors")
    heads = {
        load_file(path)["classifier.weight"].numpy().tobytes()
        for path in files
        if "class_token" in load_file(path)
    }
    seeds = {own_head(store, 0), own_head(store, 5), own_head(store, 7)}
    assert heads and heads <= seeds


def own_head(store: Store, seed: int) -> bytes:
    spec = staged({"seed": seed})
    data = build_data(spec.data, base=Path.cwd(), seed=seed, device=CPU)
    network = new_student(spec, data, StoreKeeper(store, ""), CPU, None).network
    return bytes(network.classifier.weight.detach().numpy().tobytes())


# -- the cache --------------------------------------------------------------------------------


def test_the_same_stages_are_taken_from_the_cache_and_told_as_if_they_were_trained(hand, whole):
    again = trained(hand, {"stages.main.steps": 4})
    assert parts_of(hand, again) == set()
    assert lines(hand, again) == lines(hand, whole)


def test_a_change_retrains_what_depends_on_it_and_nothing_else(hand, whole):
    run = trained(hand, {"stages.further.steps": 4})
    assert parts_of(hand, run) == {"stage-further", "stage-restart"}
    before, after = lines(hand, whole), lines(hand, run)
    assert after["pretrain"] == before["pretrain"]
    assert after["restart"]["weights"] != before["restart"]["weights"]


def test_a_stage_with_a_seed_of_its_own_is_trained_once_for_several_seeds(hand, whole):
    run = trained(hand, {"seed": 1})
    assert parts_of(hand, run) == {"stage-further", "stage-restart"}
    assert lines(hand, run)["pretrain"] == lines(hand, whole)["pretrain"]


def test_that_holds_for_one_on_the_experiment_s_own_data_too(hand):
    """Which labels are seen hangs on the run's seed; such a stage has those of its own."""
    common = {"stages.further.seed": 3, "stages.further.steps": 4}
    one, two = (trained(hand, {**common, "seed": seed}) for seed in (1, 2))
    assert "stage-further" in parts_of(hand, one)
    assert parts_of(hand, two) == {"stage-restart"}
    assert lines(hand, one)["further"] == lines(hand, two)["further"]


def test_housekeeping_keeps_stages_that_a_journal_names_and_frees_them_with_the_run(tmp_path):
    with (
        closing(Store(str(tmp_path / "wb.db"))) as store,
        pytest.MonkeyPatch.context() as patch,
        untouched_torch(),
    ):
        hand = Hand(store, patch)
        run = trained(hand)
        assert len(list((store.folder / "teachers").iterdir())) == 4
        assert survey(store, PLENTY) == []
        folders = sorted(path.name for path in (store.folder / "runs").iterdir())
        assert f"{run}-stage-further" in folders
        store.runs.remove(run)
        assert list((store.folder / "runs").iterdir()) == []
        assert store.runs.list(roles=None) == []
        found = survey(store, PLENTY)
        assert [item.kind for item in found] == ["teacher"] * 4
        assert free(store, found, PLENTY) > 0
        assert list((store.folder / "teachers").iterdir()) == []


# -- interruptions ----------------------------------------------------------------------------


KILLS = [
    ("stage pretrain", True), ("stage restart", True), ("stage further", False), ("student", True),
]  # fmt: skip


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hand]:
    """A hand on a store that has no stage yet."""
    with closing(Store(str(tmp_path / "wb.db"))) as store, untouched_torch():
        yield Hand(store, monkeypatch)


@pytest.mark.parametrize(("part", "checkpoint"), KILLS)
def test_killed_in_any_stage_it_goes_on_to_the_same_weights(hand, alone, whole, part, checkpoint):
    run = accept(alone.store, staged(), base=Path.cwd(), threads=1)
    acts = {(part, 1): (lambda: alone.send(run, "checkpoint"))} if checkpoint else {}
    alone.train(run, checks=False, at={**acts, (part, 2): killed})
    assert alone.row(run).status == "interrupted"
    row = run if part == "student" else f"{run}-{part.replace(' ', '-')}"
    kept = [item.step for item in alone.store.checkpoints(row)]
    assert kept == ([1] if checkpoint else [])
    anew: list[str] = []
    alone.train(run, checks=False, at={(part, 0): lambda: anew.append(part)})
    assert anew == ([] if checkpoint else [part]), "it goes on from the checkpoint"
    assert hashes(alone, run) == hashes(hand, whole)


@pytest.mark.parametrize("part", ["stage further"])
def test_a_pause_in_a_stage_leaves_no_trace_in_the_weights(hand, alone, whole, part):
    run = accept(alone.store, staged(), base=Path.cwd(), threads=1)
    alone.train(
        run,
        checks=False,
        at={(part, 2): lambda: alone.send(run, "pause")},
        paused=lambda: alone.send(run, "resume"),
    )
    assert hashes(alone, run) == hashes(hand, whole)
    (paused,) = [event for event in alone.store.journal.events(run) if event.kind == "pause"]
    assert (paused.step, paused.payload["part"]) == (2, part)


def test_a_stop_in_a_stage_ends_the_run_and_keeps_no_half_of_it(alone):
    run = accept(alone.store, staged(), base=Path.cwd(), threads=1)
    alone.train(run, checks=False, at={("stage further", 2): lambda: alone.send(run, "stop")})
    assert alone.row(run).status == "stopped"
    assert set(lines(alone, run)) == {"pretrain"}
    assert len(list((alone.store.folder / "teachers").iterdir())) == 2, "teacher and pretrain"


# -- replay and fork --------------------------------------------------------------------------


def test_a_replay_is_equal_with_the_cache_and_without_it(alone):
    run = trained(alone, {"control": {"stages.main.start": "further"}})
    cached = alone.replay(run)
    shutil.rmtree(alone.store.folder / "teachers")
    anew = alone.replay(run)
    assert cached.equal and anew.equal, (cached.first_difference, anew.first_difference)
    assert anew.compared > cached.compared, "the rows of the stages were compared too"
    assert anew.weights == cached.weights == alone.weights(run)


@pytest.mark.parametrize(
    ("old", "new", "cache"), [("weights", "0" * 64, False), ("distance", 9.5, True)]
)
def test_a_replay_finds_that_a_stage_is_not_what_the_journal_says(alone, old, new, cache):
    run = trained(alone)
    recorded = lines(alone, run)["further"][old]
    alone.sql(
        "UPDATE events SET payload = replace(payload, ?, ?) WHERE kind = 'stage'",
        str(recorded),
        str(new),
    )
    if not cache:
        shutil.rmtree(alone.store.folder / "teachers")
    found = alone.replay(run)
    assert not found.equal
    first = found.first_difference
    assert (first.quantity, first.recorded) == (f"stage.further.{old}", new)
    assert first.replayed == recorded


def test_a_resumed_run_refuses_a_stage_with_other_weights(alone):
    run = accept(alone.store, staged(), base=Path.cwd(), threads=1)
    alone.train(run, checks=False, at={2: killed})
    recorded = lines(alone, run)["restart"]["weights"]
    alone.sql(
        "UPDATE events SET payload = replace(payload, ?, ?) WHERE kind = 'stage'",
        recorded,
        "0" * 64,
    )
    with pytest.raises(RunFailed, match=r"stage 'restart' had the weights 0000.*Start anew"):
        alone.train(run, checks=False)


@pytest.mark.parametrize("at", [0, 3])
def test_a_fork_takes_the_stages_from_the_cache(hand, whole, at):
    run = trained(hand)
    child = fork(hand.store, run, at, {"stages.main.optimiser.lr": 0.02}, who="ada")
    hand.train(child, checks=False)
    assert parts_of(hand, child) == set()
    assert lines(hand, child) == lines(hand, run)
    assert hand.weights(child) != hand.weights(run)
    same = hand.train(fork(hand.store, run, at, {}, who="ada"), checks=False)
    assert hand.weights(same) == hand.weights(run)


def test_a_fork_cannot_change_an_earlier_stage_in_its_middle_but_can_at_step_0(hand, whole):
    with pytest.raises(RefusedCommand, match=r"`stages\.further\.steps` decides .* --at 0"):
        fork(hand.store, whole, 2, {"stages.further.steps": 4}, who="ada")
    child = hand.train(
        fork(hand.store, whole, 0, {"stages.further.steps": 2}, who="ada"), checks=False
    )
    assert lines(hand, child)["further"]["steps"] == 2


# -- what is refused --------------------------------------------------------------------------

WRONG = [
    ({"stages.main.start": "restrat"}, "main.start: there is no stage 'restrat'. Did you mean "
     "'restart'? Before it: pretrain, further, restart"),
    ({"stages.restart.target.stage": "nothing"}, "restart.target.stage: there is no stage "
     "'nothing'. Before it: pretrain, further"),
    ({"stages.further.start": "restart", "stages.restart.start": "fresh",
      "stages.restart.target": "teacher"},
     "further.start: refers to 'restart', which is not ready by then"),
    ({"stages.further.start": "further"}, "further.start: refers to 'further', which is a cycle "
     "(further -> further)"),
    ({"stages.further.start": "restart"}, "a cycle (further -> restart -> further)"),
    ({"stages.main.seed": 3}, "main.seed: belongs to a stage before the last; the last takes the "
     "experiment's `seed`"),
    ({"stages.main.data": {"use": "digits"}}, "main.data: belongs to a stage before the last"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), WRONG)
def test_a_reference_to_a_stage_that_is_not_there_or_not_ready_is_told(changes, said):
    with pytest.raises(InvalidExperiment) as caught:
        staged(changes)
    (problem,) = caught.value.problems
    assert said in problem


@pytest.mark.parametrize("step", [0, 2])
def test_an_intervention_on_an_earlier_stage_is_refused_in_words(hand, step):
    plan = [{"step": step, "set": {"stages.further.terms.mae.weight": 0.5}}]
    with pytest.raises(InvalidExperiment, match="belongs to the start of the run: every stage"):
        accept(hand.store, staged({"interventions": plan}), base=Path.cwd())


def test_a_set_on_an_earlier_stage_is_refused_while_that_stage_and_while_the_student_trains(hand):
    run = accept(hand.store, staged({"stages.further.steps": 6}), base=Path.cwd(), threads=1)
    path, sent = "stages.further.terms.mae.weight", []
    ask = lambda: sent.append(hand.set(run, path, 0.5))  # noqa: E731
    hand.train(run, checks=False, at={("stage further", 2): ask, ("student", 2): ask})
    early, late = map(hand.refusal, sent)
    for refusal in (early, late):
        assert f"`{path}` cannot change while it trains (it is 1.0)" in refusal
        assert f"workbench fork {run} --at 0" in refusal


def test_a_number_of_the_last_stage_can_be_set_while_an_earlier_one_trains(alone):
    run = accept(alone.store, staged(), base=Path.cwd(), threads=1)
    path, sent = "stages.main.optimiser.lr", []
    asks = [
        lambda: alone.set(run, path, 0.001),
        lambda: sent.append(alone.set(run, "stages.main.freeze", ["stage1"])),
    ]
    alone.train(run, checks=False, at={("stage further", 2): asks})
    assert [(event.step, event.payload["after"]) for event in alone.changes(run)] == [(0, 0.001)]
    assert "The stage 'further' still trains" in alone.refusal(sent[0])
    planned = trained(alone, {path: 0.001})
    assert alone.weights(run) == alone.weights(planned)


@pytest.mark.parametrize(
    ("control", "said"),
    [
        ({"stages.further.steps": 2}, "control: changes a stage before main"),
        ({"student.width": 4}, "control: changes `student`, but it begins with the weights"),
    ],
)
def test_a_control_that_would_need_other_stages_is_refused(control, said):
    with pytest.raises(InvalidExperiment, match=said):
        control_spec(staged({"control": control}))


def test_a_control_with_another_student_may_begin_fresh():
    fresh = {"student.width": 4, "stages.main.start": "fresh"}
    changed = control_spec(staged({"control": fresh}))
    assert (changed.student.width, changed.start_of("main")) == (4, None)


IN_THE_WORKER = [
    ({"stages.pretrain.data": {"use": "photo-patches", "side": 16, "count": 20}},
     ("stages.pretrain.data", "(1, 16, 16)", "(1, 8, 8)", "Take data of that shape")),
    ({"student": {"use": "cnn-tiny"}}, ("mae", "vit-micro")),
    ({"student": {"use": "vit-micro", "patch": 3}}, ("`patch` is 3", "Use 1, 2, 4 or 8")),
    ({"stages.restart.terms.hint.token": 9}, ("token-hint: token 9", "(5, 8)")),
    ({"stages.restart.target": {"use": "teacher"}}, ("norm",)),
]  # fmt: skip


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Workers run in this process, which gets its own settings back afterwards."""

    class Here:
        def start(self, store: Store, run: str) -> None:
            log = store.runs.folder(run) / "log.txt"
            with log.open("a") as file, redirect_stdout(file), redirect_stderr(file):
                work(str(store.path), run)

    monkeypatch.setattr("workbench.cli.run.FreshStarter", Here)
    monkeypatch.setattr(sys, "path", [*sys.path])  # a worker adds the experiment's folder
    with untouched_torch():
        yield


@pytest.mark.parametrize(("changes", "said"), IN_THE_WORKER)
def test_what_cannot_be_built_ends_with_2_before_anything_trains(
    here, tmp_path, monkeypatch, capsys, changes, said
):
    monkeypatch.chdir(tmp_path)
    plain = copy.deepcopy(STAGED)
    for path, value in changes.items():
        place, (*way, last) = plain, path.split(".")
        for name in way:
            place = place[name]
        place[last] = value
    Path("staged.yaml").write_text(dump_yaml(plain), "utf-8")
    _refused(capsys, "staged.yaml", said)


@pytest.mark.parametrize(("changes", "said"), WRONG[:4])
def test_a_wrong_reference_ends_with_2_and_leaves_nothing(
    tmp_path, monkeypatch, capsys, changes, said
):
    monkeypatch.chdir(tmp_path)
    Path("staged.yaml").write_text(dump_yaml(STAGED), "utf-8")
    sets = [f"--set={path}={value}" for path, value in changes.items()]
    _refused(capsys, "staged.yaml", (said,), *sets)


def _refused(capsys: Any, file: str, said: tuple[str, ...], *words: str) -> None:
    """The command says why in one message, ends with 2, and nothing is left of it."""
    with pytest.raises(SystemExit) as ended:
        main(["run", file, *words, "--json", "--store", "store/wb.db"])
    printed = capsys.readouterr()
    assert ended.value.code == 2, printed
    assert printed.out == ""
    (message,) = printed.err.split("workbench: ")[1:]
    for part in said:
        assert part in message
    if Path("store/wb.db").is_file():
        with closing(Store("store/wb.db")) as store:
            assert store.runs.list(roles=None) == []
    for folder in ("runs", "teachers"):
        place = Path("store") / folder
        assert not place.is_dir() or list(place.iterdir()) == [], "nothing was trained"


# -- what is said -----------------------------------------------------------------------------


def test_the_protocol_and_its_words_list_the_stages(hand, whole):
    protocol = hand.row(whole).protocol
    told = lines(hand, whole)
    assert [stage["name"] for stage in protocol["stages"]] == ["pretrain", "further", "restart"]
    assert [stage["start"] for stage in protocol["stages"]] == ["fresh", "pretrain", "pretrain"]
    for stage in protocol["stages"]:
        line = told[stage["name"]]
        assert (stage["hash"], stage["distance"]) == (line["weights"], line["distance"])
        assert stage["steps"] == STAGED["stages"][stage["name"]]["steps"]
    words = " ".join(" ".join(text(protocol)).split())
    assert "stages before: pretrain" in words
    assert f"{told['further']['weights'][:12]}, 5 steps on digits from pretrain, distance" in words


def test_people_see_which_stage_trains_and_how_far_it_is(alone):
    run = accept(alone.store, staged(), base=Path.cwd(), threads=1)
    seen = []
    look = lambda: seen.append(describe(alone.row(run)))  # noqa: E731
    alone.train(run, checks=False, at={("stage further", 2): look, ("stage restart", 2): look})
    assert [words for words, _, _ in seen] == ["Stage further", "Stage restart"]
    assert all(0 <= share < 1 and detail.endswith("%") for _, share, detail in seen)


def test_the_journal_reads_in_columns_and_on_the_page(hand, whole, capsys):
    with pytest.raises(SystemExit):
        main(["journal", whole, "--store", str(hand.store.path)])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "stage further" in line]
    told = lines(hand, whole)["further"]
    assert f"weights {told['weights'][:12]}, distance {told['distance']:.4g}" in line
    assert "pretrain" in line
    page = [item["what"] for item in journal(hand.store.journal.events(whole))]
    (what,) = [words for words in page if words.startswith("Stage further is ready: from pretrain")]
    assert told["weights"][:12] in what
    assert any(words.startswith("Stage pretrain is ready: from fresh weights") for words in page)


def test_the_estimate_counts_stages_that_are_to_be_trained_and_not_those_of_the_cache(alone):
    def ahead(changes: dict[str, Any] | None = None) -> dict[str, Any]:
        spec = staged(changes)
        return looked_ahead(spec, StoreKeeper(alone.store, ""), base=Path.cwd())["estimate"]

    first = ahead()
    assert first["parts"]["stages"] > 0
    assert first["seconds"] == pytest.approx(sum(first["parts"].values()))
    assert 0 < first["shared_seconds"] < first["parts"]["teacher"] + first["parts"]["stages"]
    run = trained(alone, checks=True)
    kept = alone.row(run).protocol
    assert kept["estimate"]["parts"]["stages"] > 0
    assert 0.4 < kept["estimate_error"]["disk_bytes"] < 2.5, "the stages' checkpoints are counted"
    assert ahead()["parts"]["stages"] == 0.0 == ahead()["parts"]["teacher"]
    assert ahead({"seed": 4})["parts"]["stages"] > 0 == ahead({"seed": 4})["shared_seconds"]
    assert ", stages " in before_words({"estimate": first})[0]


def test_the_estimate_of_several_seeds_counts_common_stages_once(alone):
    spec = staged({"seeds": 3})
    told = estimate_here(alone.store, spec, Path.cwd(), settle_here=False)["estimate"]
    once, all_ = told["shared_seconds"], sum(told["parts"].values())
    assert told["parts"]["teacher"] < once < told["parts"]["teacher"] + told["parts"]["stages"]
    assert told["seconds"] == pytest.approx(once + 3 * (all_ - once))


def test_without_earlier_stages_the_estimate_names_none(alone):
    spec = {**STAGED, "stages": {"main": {**STAGED["stages"]["main"], "start": "fresh"}}}
    single = looked_ahead(ExperimentSpec.parse(spec), StoreKeeper(alone.store, ""), base=Path.cwd())
    assert "stages" not in single["estimate"]["parts"]
