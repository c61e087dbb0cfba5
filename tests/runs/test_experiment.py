"""The experiment in Python: expressions, own modules and data, load, save, diff, run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from workbench import CE, CKA, DKD, KD, Experiment, Hint, Run, term
from workbench.errors import BadInput, InvalidExperiment, NotSendable, UnknownName, UnknownRun
from workbench.models.weights import weights_hash
from workbench.runs.launch import FreshStarter, accept, resume
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.files import read_yaml
from workbench.store.store import Store

from ..small import SMALL
from ..waiting import PATIENCE

pytestmark = pytest.mark.usefixtures("forked_helpers")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store of its own."""
    with closing(Store(str(tmp_path / "store" / "wb.db"))) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _own_settings() -> Iterator[None]:
    """A module of the caller trains here, which sets torch up; the next test starts afresh."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(strict)


class Stripes:
    """A map-style data set: class k has stripes every k + 2 rows, under noise."""

    def __init__(self, rows: int = 240, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.noise = rng.random((rows, 8, 8)).astype(np.float32)

    def __len__(self) -> int:
        return len(self.noise)

    def __getitem__(self, row: int) -> tuple[np.ndarray[Any, Any], int]:
        stripes = (np.arange(8) % (row % 3 + 2) == 0).astype(np.float32)
        return 0.6 * self.noise[row] + 0.4 * stripes[:, None], row % 3


def network(width: int) -> nn.Module:
    """A network of the user."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 3))


# -- expressions ----------------------------------------------------------------------------------


def test_an_expression_builds_the_mapping_of_a_file() -> None:
    built = (0.9 * KD(temperature=4) + 0.1 * CE()).mapping()
    assert built == {"kd": {"use": "kd", "weight": 0.9, "temperature": 4},
                     "ce": {"use": "ce", "weight": 0.1}}  # fmt: skip


def test_two_terms_of_one_kind_get_two_keys() -> None:
    built = (Hint(student_tap="stage1") + 2 * Hint(student_tap="stage2") + Hint()).mapping()
    assert list(built) == ["hint", "hint-2", "hint-3"]
    assert built["hint-2"] == {"use": "hint", "weight": 2.0, "student_tap": "stage2"}


def test_a_factor_reaches_every_term_of_a_sum_and_factors_multiply() -> None:
    built = (0.5 * (KD() + 0.2 * DKD(beta=2.0)) + term("cka")).mapping()
    assert [part.get("weight") for part in built.values()] == [0.5, 0.1, None]
    assert built["cka"] == CKA().mapping()


@pytest.mark.parametrize("wrong", [lambda: KD() + 1, lambda: KD() * CE(), lambda: "x" * KD()])
def test_nonsense_in_an_expression_is_a_type_error(wrong: Any) -> None:
    with pytest.raises(TypeError):
        wrong()


def test_expression_and_file_give_one_experiment() -> None:
    recipe = Experiment.load("quickstart")
    same = recipe.replace({"stages.main.terms": (0.9 * KD(temperature=4.0) + 0.1 * CE()).mapping()})
    assert same.spec.full() == recipe.spec.full()
    assert recipe.diff(same) == ""


# -- making, changing, saving ---------------------------------------------------------------------


def made(**changes: Any) -> Experiment:
    """A small experiment by name."""
    fields: dict[str, Any] = {
        "data": {"use": "digits", "limit": 300, "labels_per_class": 3},
        "teacher": {"use": "cnn-small", "width": 4, "train": {"epochs": 1}},
        "student": "cnn-tiny",
        "terms": 0.9 * KD() + 0.1 * CE(),
        "epochs": 1,
        **changes,
    }
    return Experiment(**fields)


def test_save_and_load_is_the_identity(tmp_path: Path) -> None:
    experiment = made(seed=3, control=True)
    experiment.save(tmp_path / "saved.yaml")
    again = Experiment.load(tmp_path / "saved.yaml")
    assert again.spec.given() == experiment.spec.given()
    again.save(tmp_path / "again.yaml")
    assert read_yaml(tmp_path / "again.yaml") == read_yaml(tmp_path / "saved.yaml")


def test_making_an_experiment_writes_nothing(tmp_path: Path) -> None:
    made(store=str(tmp_path / "never" / "wb.db"))
    assert list(tmp_path.iterdir()) == []


def test_replace_changes_one_field_and_diff_says_which() -> None:
    first = made()
    second = first.replace({"stages.main.terms.kd.temperature": 2.0}, seed=5)
    assert first.spec.seed == 0
    assert second.spec.seed == 5
    lines = first.diff(second).splitlines()
    assert "+seed: 5" in lines
    assert "+        temperature: 2.0" in lines


def test_wrong_fields_are_named_together() -> None:
    with pytest.raises(InvalidExperiment) as caught:
        made(student="cnn-tinny", seed=-1, terms=KD(temperature=0))
    assert len(caught.value.problems) == 3
    text = str(caught.value)
    assert "Did you mean 'cnn-tiny'?" in text
    assert "seed: must be ≥ 0 (got -1)" in text
    assert "stages.main.terms.kd.temperature: must be > 0" in text


def test_terms_that_are_no_loss_are_refused_with_an_example() -> None:
    with pytest.raises(BadInput, match=r"terms: a float is no loss\. Write 0\.9 \* KD"):
        made(terms=0.9)


# -- own modules, own data ------------------------------------------------------------------------


def test_own_modules_and_own_data_in_ten_lines(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    teacher, student = network(64), network(8)
    untouched = weights_hash(student)
    experiment = Experiment(
        data={"use": Stripes(), "labels_per_class": 5},
        teacher={"use": teacher, "train": {"epochs": 8}},
        student=student,
        terms=0.9 * KD(temperature=4) + 0.1 * CE(),
        epochs=8,
        control=True,
        store=store,
    )
    run = experiment.run(progress=False)
    assert "Training in this process" in capsys.readouterr().out

    metrics = run.result["metrics"]
    assert metrics["teacher"]["accuracy"] > 0.9
    assert metrics["student"]["accuracy"] > 0.6  # chance is 1/3
    assert weights_hash(student) == untouched  # the user's module stays as it was
    assert list(run.metrics.columns) == ["loss", "kd", "ce", "lr"]
    np.testing.assert_allclose(run.metrics["loss"], run.metrics["kd"] + run.metrics["ce"], 1e-5)
    assert run.metrics.index[-1] == run.row.steps
    step, arrays = run.arrays("cka")[-1]
    assert step == run.row.steps
    assert arrays["unbiased"].ndim == 2
    assert run.series("probe", part="control").index[-1] == run.row.steps


def test_a_stored_run_of_modules_is_readable_but_cannot_go_on_elsewhere(store: Store) -> None:
    experiment = Experiment(
        data=Stripes(), teacher=network(16), student=network(4), terms=KD(), epochs=1,
        store=store, allow=["teacher-skill"],
    )  # fmt: skip
    run = experiment.run(progress=False)
    read = run.experiment
    assert read.student.given()["of"] == "Sequential"
    assert read.stage.terms["kd"].use == "kd"
    with pytest.raises(NotSendable, match="object is gone with the process"):
        read.student.build(None)  # type: ignore[attr-defined]
    store.runs.update(run.id, status="training", pid=2**22 + 1)  # its process is gone
    with pytest.raises(NotSendable, match="its teacher, a Sequential object, is gone"):
        resume(store, run.id, FreshStarter(), who="test")
    with pytest.raises(NotSendable, match="register the class"):
        experiment.save(store.folder / "never.yaml")


def test_one_data_set_is_written_once_by_content(store: Store) -> None:
    paths = [
        Experiment(data=data, teacher=network(4), student=network(4), terms=KD(), epochs=1,
                   store=store).spec.data.given()["path"]
        for data in (Stripes(), Stripes(), Stripes(seed=1))
    ]  # fmt: skip
    assert paths[0] == paths[1] != paths[2]
    assert len(list((store.folder / "data").iterdir())) == 2


def test_what_is_no_data_set_is_refused(store: Store) -> None:
    with pytest.raises(BadInput, match=r"data: int is no data set\. Give a name"):
        made(data=5, store=store)


# -- running --------------------------------------------------------------------------------------


def test_run_follows_its_worker_and_start_returns_at_once(store: Store) -> None:
    followed = made(store=store).run(progress=False)
    assert followed.status == "finished"
    started = made(store=store).start(pause_at=1)
    assert started.status in ("queued", "preparing")
    started.wait()
    assert (started.status, started.row.step) == ("paused", 1)
    started.resume()
    assert started.wait().status == "finished"
    assert started.result["weights"] == followed.result["weights"]
    assert [event.kind for event in started.journal] == ["started", "pause", "resume", "finished"]


def test_bad_input_that_the_worker_sees_is_raised_and_leaves_no_run(store: Store) -> None:
    experiment = made(data={"use": "folder", "path": "nowhere"}, store=store)
    with pytest.raises(BadInput, match=r"\[WB104\].*'nowhere' does not exist"):
        experiment.run(progress=False)
    assert store.runs.list(roles=("student", "teacher", "control")) == []
    assert list((store.folder / "runs").iterdir()) == []


def test_unknown_runs_probes_and_parts_are_named(store: Store) -> None:
    with pytest.raises(UnknownRun, match="No run 'nope'"):
        Run("nope", store)
    run = Experiment(
        data=Stripes(), teacher=network(4), student=network(4), terms=KD(), epochs=1,
        probes=["loyalty"], store=store, allow=["teacher-skill"],
    ).run(progress=False)  # fmt: skip
    with pytest.raises(UnknownName, match="Known: loyalty"):
        run.arrays("cka")
    with pytest.raises(UnknownName, match="Known: control, plain_kd, student, teacher"):
        run.series("train", part="assistant")


def test_a_run_in_this_process_is_paused_and_stopped_by_hand(store: Store) -> None:
    experiment = Experiment(
        data=Stripes(), teacher=network(4), student=network(4), terms=KD(), steps=10**6,
        store=store, allow=["teacher-skill"],
    )  # fmt: skip
    run = experiment.start()
    step = run.pause()
    assert (run.status, run.row.step) == ("paused", step)
    run.resume()
    assert run.status != "paused"
    assert run.stop() >= step
    assert run.wait().status == "stopped"
    for thread in threading.enumerate():
        if thread.name == run.id:
            thread.join(timeout=PATIENCE)


def test_stop_of_a_paused_run_returns_when_it_shows_so_that_wait_waits_for_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal has the stop before the row has it: between the two the row reads paused."""
    name = accept(store, ExperimentSpec.parse(SMALL), base=Path.cwd())
    recorder = store.recorder(name, inbox=name, token=store.runs.claim(name))
    recorder.update(status="paused")

    def applied(run: Run, number: int) -> int:
        (command,) = recorder.commands()
        assert command.id == number
        recorder.apply(command, 7, {})
        threading.Timer(0.3, recorder.update, kwargs={"status": "stopping"}).start()
        return 7

    monkeypatch.setattr(Run, "_answered", applied)
    run = Run(name, store)
    assert (run.stop(), run.status) == (7, "stopping")
