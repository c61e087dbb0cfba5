"""PS-KD as a recipe: who is pulled how hard, the common start, a kill, a replay, a script."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, redirect_stderr, redirect_stdout
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from workbench.cli.main import main
from workbench.export import export_run
from workbench.functional.logits import ce
from workbench.functional.soft_targets import soft_ce_of_logits
from workbench.recipes import open_experiment
from workbench.runs.launch import accept
from workbench.runs.replay import replay
from workbench.runs.results import result_of
from workbench.runs.seeds import summary
from workbench.runs.worker import work
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.files import dump_yaml, read_yaml
from workbench.store.runs import RunRow
from workbench.store.store import Store
from workbench.training import loop
from workbench.training.part import Part

from ..runs.touched import Hand, killed, untouched_torch

MAIN = "stages.main"
Train = Callable[..., RunRow]


@pytest.fixture(scope="module")
def smoke() -> ExperimentSpec:
    spec, _, _ = open_experiment("ps-kd")
    return spec.at_scale("smoke").replace({"probes": [], "device": "cpu"})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store(str(tmp_path_factory.mktemp("ps-kd") / "wb.db"))
    yield opened
    opened.close()


class Here:
    """Starts workers in this process."""

    def start(self, store: Store, run: str) -> None:
        path = store.runs.folder(run) / "log.txt"
        with path.open("a") as log, redirect_stdout(log), redirect_stderr(log):
            work(str(store.path), run)


@pytest.fixture(scope="module")
def train(store: Store, smoke: ExperimentSpec) -> Iterator[Train]:
    """The recipe at smoke scale with changes, trained here to its end."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    path = list(sys.path)

    def run(changes: Mapping[str, Any] | None = None, **options: Any) -> RunRow:
        accepted = accept(store, smoke.replace(changes or {}), threads=1, **options)
        Here().start(store, accepted)
        return store.runs.get(accepted)

    yield run
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(strict)
    sys.path[:] = path


@pytest.fixture(scope="module")
def whole(train: Train) -> RunRow:
    """Student and control, untouched."""
    row = train()
    assert row.status == "finished", row.error
    return row


def test_student_and_control_begin_with_the_same_loss_on_the_same_rows(store, whole):
    """Before a row was seen its past is its label: the first step is plain cross-entropy."""
    mine = store.metrics.read(whole.id, "train").column("loss")
    theirs = store.metrics.read(f"{whole.id}-control", "train").column("loss")
    assert len(mine) == len(theirs)
    assert mine[0] == pytest.approx(theirs[0], rel=1e-5)
    assert mine[-1] > theirs[-1] + 0.01, "a softened target has an entropy of its own"
    metrics = (whole.result or {})["metrics"]
    assert set(metrics["student"]) == set(metrics["control"]) >= {"accuracy", "nll", "ece", "aurc"}


def test_the_control_is_plain_cross_entropy_from_the_same_start(train, whole):
    alone = train(
        {
            f"{MAIN}.target": {"use": "teacher"},
            f"{MAIN}.terms": {"ce": {"use": "ce"}},
            "control": False,
        }
    )
    assert alone.result["metrics"]["student"] == whole.result["metrics"]["control"]


def pulls(train: Train, monkeypatch: pytest.MonkeyPatch, changes: Mapping[str, Any]) -> list[Any]:
    """For each epoch, of every row met: pull against cross-entropy's, and hardness 1 - p_true."""
    found: dict[int, list[torch.Tensor]] = {}
    taken = Part.taps, Part.targets
    spoken: list[torch.Tensor] = []

    def taps(part, batch, step):
        said = taken[0](part, batch, step)
        spoken[:] = [said["logits"].detach()]
        return said

    def targets(part, batch, step, student=None):
        target = taken[1](part, batch, step, student)
        if student is not None:  # only a target that follows the student is asked with its answer
            logits = spoken[0].clone().requires_grad_()
            (soft,) = torch.autograd.grad(soft_ce_of_logits(logits, target["logits"]).sum(), logits)
            (hard,) = torch.autograd.grad(ce(logits, batch.labels).sum(), logits)
            truth = logits.detach().softmax(-1).gather(1, batch.labels[:, None])[:, 0]
            ratio = soft.norm(dim=1) / hard.norm(dim=1)
            epoch = part.moment(step).epoch
            found.setdefault(epoch, []).append(torch.stack([ratio, 1 - truth]))
        return target

    with monkeypatch.context() as patch:
        patch.setattr(Part, "taps", taps)
        patch.setattr(Part, "targets", targets)
        train({"control": False, **changes})
    return [torch.cat(found[epoch], dim=1).numpy() for epoch in sorted(found)]


def test_while_it_learns_hard_rows_are_pulled_more(train, monkeypatch):
    """The paper's gradient rescaling: pull over cross-entropy's pull rises with hardness."""
    first, second, _ = pulls(train, monkeypatch, {})
    for ratio, hardness in (first, second):
        rank = spearmanr(ratio, hardness).statistic
        print(f"rank correlation {rank:.2f}")
        assert rank > 0.3


def test_so_it_does_where_each_row_comes_once_an_epoch(train, monkeypatch):
    changes = {
        "data": {"use": "digits", "augment": "none"},
        f"{MAIN}.rows": {"labels": "all"},
        f"{MAIN}.epochs": 6,
        "student": "cnn-tiny",
    }
    first, *later = pulls(train, monkeypatch, changes)
    np.testing.assert_allclose(first[0], 1.0, rtol=2e-3)  # epoch 0 is cross-entropy
    ranks = [spearmanr(ratio, hardness).statistic for ratio, hardness in later]
    print("rank correlations", [round(float(rank), 2) for rank in ranks])
    assert ranks[0] > 0.5 and np.mean(ranks) > 0.1


def test_killed_in_mid_epoch_and_resumed_it_ends_with_the_same_bits(store, whole, monkeypatch):
    half = whole.steps // 2 + 3
    run = accept(store, ExperimentSpec.parse(whole.experiment), threads=1)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    with untouched_torch():
        hand = Hand(store, monkeypatch)
        hand.train(run, at={half: killed})
        hand.train(run)
    assert hand.weights(run) == (whole.result or {})["weights"]
    assert (hand.row(run).result or {})["metrics"] == (whole.result or {})["metrics"]
    resumed = [event.step for event in store.journal.events(run) if event.kind == "resumed"]
    assert resumed == [half]


@pytest.mark.claim
def test_over_five_seeds_it_is_as_accurate_as_cross_entropy_and_its_nll_is_lower(store, train):
    """What the recipe claims. ECE and AURC fall too, by less than five seeds can tell."""
    spec, _, _ = open_experiment("ps-kd")
    results = []
    for seed in range(5):
        seeded = spec.replace({"seed": seed, "probes": [], "device": "cpu"})
        run = accept(store, seeded, threads=1)
        Here().start(store, run)
        results.append(result_of(store.runs.get(run)))
    gap = summary(results)["difference"]
    print({name: (told["mean"], told["interval"]) for name, told in gap.items()})
    low, high = gap["accuracy"]["interval"]
    assert low <= 0.0 <= high and abs(gap["accuracy"]["mean"]) < 0.005
    assert gap["nll"]["interval"][1] < 0.0
    assert gap["ece"]["mean"] < 0.0 and gap["aurc"]["mean"] < 0.0


def test_a_replay_is_equal(store, whole):
    assert replay(store, whole.id).equal


def test_the_script_finds_the_recorded_numbers(store, whole, python, tmp_path):
    script = export_run(store, whole.id, "script", tmp_path / "ps-kd.py")
    done = python(script, "--check", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "student aurc" in done.stdout


def test_the_file_is_its_own_round_trip(tmp_path):
    spec, _, _ = open_experiment("ps-kd")
    path = tmp_path / "again.yaml"
    path.write_text(dump_yaml(spec.given()), "utf-8")
    assert ExperimentSpec.parse(read_yaml(path)).given() == spec.given()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (f"{MAIN}.target.use=pasta", ("target.use", "'pasta'", "Did you mean 'past'?")),
        (f"{MAIN}.target.share=1.5", ("target.share", "1.5", "≥ 0 and ≤ 1")),
        (f"{MAIN}.target.shares=0.5", ("target.shares", "Did you mean 'share'?")),
        (f"{MAIN}.terms.hint={{use: hint}}", ("target past", "not layers", "soft-ce")),
        (f"{MAIN}.terms.soft.use=ps-kd", ("terms.soft.use", "'ps-kd'", "Known")),
    ],
    ids=["name", "share", "field", "layers", "the old term"],
)
def test_what_it_cannot_do_ends_with_2_and_one_message(
    change, said, tmp_path, capsys, monkeypatch, train
):
    monkeypatch.setattr("workbench.cli.run.FreshStarter", Here)
    monkeypatch.setattr(sys, "path", [*sys.path])
    file = tmp_path / "wb.db"
    words = ("run", "ps-kd", "--scale", "smoke", "--set", change, "--store", str(file))
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    printed = capsys.readouterr()
    assert ended.value.code == 2, printed
    assert printed.err.count("workbench: ") == 1
    assert all(part in printed.err for part in said), printed.err
    if file.is_file():
        with closing(Store(str(file))) as left:
            assert left.runs.list(roles=("student", "control")) == []
