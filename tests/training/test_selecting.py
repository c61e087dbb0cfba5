"""A data policy at work: what it chooses, when, and that every bit of it comes back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import redirect_stdout
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pytest
import torch

from workbench.data.images import ImageData, build_data
from workbench.data.policy import Confident, PolicyKind, RandomRows, Report, teacher_share
from workbench.errors import BadData, RefusedCommand, RunFailed
from workbench.models.adapter import ModelAdapter
from workbench.models.facts import ModelContext
from workbench.registries import MODELS
from workbench.runs.fork import fork
from workbench.runs.launch import accept
from workbench.runs.results import chosen_rows, was_refused
from workbench.runs.run import Run
from workbench.runs.worker import work
from workbench.specs.experiment import ExperimentSpec
from workbench.store.store import Store
from workbench.training.build import student_part
from workbench.training.part import Part
from workbench.training.selecting import SELECTION, Selecting, entropy, logits

from ..runs.touched import MAIN, TINY, Hand, assert_same, killed, untouched_torch

POLICY = f"{MAIN}.policy"
EPOCHS = 4
CONFIDENT = {"use": "confident", "threshold": 0.4}
CHANGES: dict[str, Any] = {
    "data": {
        "use": "pool",
        "of": {"use": "digits"},
        "limit": 300,
        "corrupted": 0.5,
        "foreign": {"use": "photo-patches", "count": 60},
    },
    "teacher": {"use": "cnn-small", "width": 8, "train": {"steps": 60}},
    f"{MAIN}.terms": {"kd": {"use": "kd", "temperature": 4.0}},
    f"{MAIN}.steps": None,
    f"{MAIN}.epochs": EPOCHS,
    POLICY: CONFIDENT,
}
"""Without a term of labels: 216 training rows, 60 of them patches, in 7 steps an epoch."""
PER_EPOCH = 7


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store(str(tmp_path_factory.mktemp("selecting") / "workbench.db"))
    yield opened
    opened.close()


@pytest.fixture
def hand(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hand]:
    with untouched_torch():
        yield Hand(store, monkeypatch)


@pytest.fixture(scope="module")
def whole(store: Store) -> str:
    """A run under the policy from its beginning to its end."""
    with pytest.MonkeyPatch.context() as patch, untouched_torch():
        return Hand(store, patch).train(CHANGES)


def spec_of(**changes: Any) -> ExperimentSpec:
    return ExperimentSpec.parse(TINY).replace({**CHANGES, **changes})


def data_of(**options: Any) -> ImageData:
    data = {**cast(dict[str, Any], CHANGES["data"]), **options}
    return build_data(cast(Any, spec_of(data=data).data), base=Path.cwd(), seed=0)


@pytest.fixture(scope="module")
def data() -> ImageData:
    return data_of()


def model(data: ImageData, seed: int) -> ModelAdapter:
    context = ModelContext(
        channels=1, height=8, width=8, num_classes=10, mean=data.mean, std=data.std,
        seed=seed, open_run=None,
    )  # fmt: skip
    return MODELS.get("cnn-tiny").model_validate({"use": "cnn-tiny", "width": 4}).build(context)


def part_of(data: ImageData, seed: int = 0) -> Part:
    """A student's training whose order and variations follow ``seed``; its weights do not."""
    spec = spec_of(seed=seed)
    return student_part(spec, data, model(data, 1), model(data, 2), torch.device("cpu"))


def choose(policy: PolicyKind, part: Part, *epochs: int, rows: Any = None) -> list[np.ndarray]:
    """What is shown in each of the epochs."""
    selecting = Selecting(policy, part.data, rows, model(part.data, 2))
    found = []
    for epoch in epochs:
        selecting.at(part, epoch, PER_EPOCH * epoch)
        assert part.rows is not None
        found.append(part.rows)
    return found


def softmax(scores: np.ndarray) -> np.ndarray:
    raised = np.exp(scores - scores.max(1, keepdims=True))
    return np.asarray(raised / raised.sum(1, keepdims=True))


@pytest.mark.parametrize("per_class", [True, False])
def test_rows_above_the_bar_of_their_class_are_kept(per_class):
    """By hand: the blend of scores, counts of its answers, 0.6 b / (2 - b) with b = n / max n."""
    generator = np.random.default_rng(3)
    student, teacher = generator.normal(0, 1.5, (2, 200, 4))
    teacher[:, 0] += 1.0  # a class that is named often
    share = 1 - np.exp(-5 * (2 / (4 / 3 * 5) - 1) ** 2)
    probs = softmax(share * teacher + (1 - share) * student)
    counts = np.bincount(probs.argmax(1), minlength=4)
    bars = 0.6 * (counts / counts.max()) / (2 - counts / counts.max())
    bar = bars[probs.argmax(1)] if per_class else 0.6
    policy = Confident(use="confident", threshold=0.6, until=0.5, per_class=per_class)
    tensors = [torch.from_numpy(scores) for scores in (student, teacher)]
    kept = policy.choose(Report(1, 10, 0, 200, *tensors))
    np.testing.assert_array_equal(kept, probs.max(1) > bar)
    assert 0 < kept.sum() < 200


def test_the_bar_must_be_passed_and_not_only_met():
    even = torch.zeros(6, 2)
    policy = Confident(use="confident", threshold=0.5, per_class=False)
    assert not policy.choose(Report(0, 4, 0, 6, even, even)).any()


def test_the_blend_follows_the_paper_s_240_epochs():
    """a = 1 - exp(-5 ((e + 1) / 160 - 1)²) for e < 120, else 0."""
    course = [teacher_share(epoch, 240, until=0.5) for epoch in range(240)]
    by_hand = [1 - np.exp(-5 * ((epoch + 1) / 160 - 1) ** 2) for epoch in range(120)]
    np.testing.assert_allclose(course[:120], by_hand, rtol=1e-12)
    assert [round(share, 2) for share in (course[0], course[119])] == [0.99, 0.27]
    assert course[120:] == [0.0] * 120
    assert all(now > later for now, later in pairwise(course[:121]))


def test_random_rows_are_as_many_as_asked_and_others_in_each_epoch():
    chosen = [
        RandomRows(use="random-rows", share=0.3).choose(Report(epoch, 4, seed, 101))
        for epoch, seed in ((0, 0), (1, 0), (0, 1), (0, 0))
    ]
    assert [int(kept.sum()) for kept in chosen] == [30] * 4
    first, later, other, again = chosen
    assert (first != later).any() and (first != other).any()
    np.testing.assert_array_equal(first, again)
    assert RandomRows(use="random-rows", share=0.001).choose(Report(0, 1, 0, 7)).sum() == 1


def test_equal_weights_choose_equal_rows_whatever_order_or_variation(data):
    policy = Confident(use="confident", threshold=0.15)
    (plain,) = choose(policy, part_of(data), 0)
    assert 0 < len(plain) < data.num_train
    (other_order,) = choose(policy, part_of(data, seed=9), 0)
    (varied,) = choose(policy, part_of(data_of(augment="shift")), 0)
    np.testing.assert_array_equal(plain, other_order)
    np.testing.assert_array_equal(plain, varied)
    (later,) = choose(policy, part_of(data), EPOCHS - 1)  # the student alone decides
    assert not np.array_equal(plain, later)


def test_the_pass_is_in_evaluation_mode_and_leaves_no_trace(data):
    part = part_of(data)
    part.model.train()
    before = {name: value.clone() for name, value in part.model.state_dict().items()}
    random = torch.get_rng_state()
    seen = logits(part.model, data, data.split_ids("train"))
    assert part.model.training
    assert torch.equal(torch.get_rng_state(), random)
    for name, value in part.model.state_dict().items():
        assert torch.equal(value, before[name]), name
    part.model.eval()
    alone = part.model(data.fetch(data.split_ids("train")[:5]).inputs)
    torch.testing.assert_close(seen[:5], alone.detach(), rtol=1e-4, atol=1e-5)


def test_within_an_epoch_nothing_is_chosen_anew(data):
    class Counted(RandomRows):
        asked: ClassVar[list[int]] = []

        def choose(self, report: Report) -> Any:
            self.asked.append(report.epoch)
            return super().choose(report)

    policy, part = Counted(use="random-rows", share=0.5), part_of(data)
    part.selecting = Selecting(policy, data, None, model(data, 2))
    shown = []
    for step in range(2 * PER_EPOCH):
        shown.append(part.batch(step).ids.numpy())
        assert np.isin(shown[-1], part.rows).all()
    assert policy.asked == [0, 1]
    for epoch in (shown[:PER_EPOCH], shown[PER_EPOCH:]):
        assert sum(map(len, epoch)) == data.num_train, "an epoch keeps its length"
        assert len(np.unique(np.concatenate(epoch))) == data.num_train // 2


def test_what_rows_leaves_out_no_policy_brings_back(data):
    allowed = data.split_ids("train")[::3]
    part = part_of(data)
    (kept,) = choose(RandomRows(use="random-rows", share=0.5), part, 0, rows=allowed)
    assert np.isin(kept, allowed).all()
    assert len(kept) == round(0.5 * len(allowed))


def test_nobody_sure_enough_is_told_with_a_way_out(data):
    policy = Confident(use="confident", threshold=0.999999, per_class=False)
    with pytest.raises(BadData, match=r"confident: none of the \d+ training.*epoch 1\..*threshold"):
        choose(policy, part_of(data), 0)


def test_entropy_counts_only_what_is_there():
    assert entropy(np.array([5, 5, 0])) == pytest.approx(np.log(2))
    assert entropy(np.array([0, 0])) == 0.0


def test_numbers_and_rows_of_each_epoch_are_kept_with_the_run(store, whole, data):
    run = Run(whole, store)
    series, kept = store.metrics.read(whole, SELECTION), run.selection
    assert series.steps.tolist() == [PER_EPOCH * epoch for epoch in range(EPOCHS)]
    np.testing.assert_array_equal(series.column("epoch"), np.arange(EPOCHS))
    np.testing.assert_array_equal(kept["ids"], data.split_ids("train"))
    np.testing.assert_array_equal(kept["epochs"], np.arange(EPOCHS))
    assert kept["kept"].shape == (EPOCHS, data.num_train)
    np.testing.assert_array_equal(series.column("kept"), kept["kept"].sum(1))
    np.testing.assert_allclose(series.column("share"), kept["kept"].mean(1))
    assert 0 < kept["kept"].sum() < kept["kept"].size
    for number, chosen in enumerate(kept["kept"]):
        rows = kept["ids"][chosen]
        for code, name in enumerate(data.examples.origin_names):
            there = int((data.examples.origin[rows] == code).sum())
            assert series.column(f"origin.{name}")[number] == there
        labels = data.examples.labels[rows]
        share = np.bincount(labels[labels >= 0]) / (labels >= 0).sum()
        expected = -sum(part * np.log(part) for part in share if part)
        assert series.column("entropy")[number] == pytest.approx(expected)
    told = chosen_rows(series.columns, series.values)
    assert told is not None
    assert (told["epoch"], told["rows"]) == (EPOCHS - 1, data.num_train)
    assert sum(told["origins"].values()) == told["kept"]


def test_a_run_without_a_policy_keeps_no_selection(hand):
    run = hand.train({**CHANGES, POLICY: None, f"{MAIN}.epochs": 1})
    series = hand.store.metrics.read(run, SELECTION)
    assert chosen_rows(series.columns, series.values) is None
    with pytest.raises(RefusedCommand, match="No selection is kept"):
        _ = Run(run, hand.store).selection


def test_a_stopped_run_keeps_what_it_had_chosen_as_a_finished_one_does(hand, whole):
    run = hand.train(CHANGES, stop_at=PER_EPOCH + 3)
    assert hand.row(run).status == "stopped"
    mine, theirs = (Run(name, hand.store).selection for name in (run, whole))
    np.testing.assert_array_equal(mine["ids"], theirs["ids"])
    assert mine["epochs"].tolist() == [0, 1]
    np.testing.assert_array_equal(mine["kept"], theirs["kept"][:2])
    assert hand.replay(run).equal


def test_killed_in_mid_epoch_it_shows_the_same_rows_and_ends_with_the_same_bits(
    hand, whole, monkeypatch
):
    monkeypatch.setattr("workbench.training.loop.CHECKPOINT_SECONDS", 0.0)
    run = hand.accept(CHANGES)
    hand.train(run, at={PER_EPOCH + 3: killed})
    hand.train(run)
    resumed = [event.step for event in hand.store.journal.events(run) if event.kind == "resumed"]
    assert resumed == [PER_EPOCH + 3]
    assert_same(hand, run, whole)
    assert_same_choices(hand.store, run, whole)


def assert_same_choices(store: Store, run: str, other: str) -> None:
    mine, theirs = (Run(name, store).selection for name in (run, other))
    for name in mine:
        np.testing.assert_array_equal(mine[name], theirs[name])
    one, two = (store.metrics.read(name, SELECTION) for name in (run, other))
    np.testing.assert_array_equal(one.steps, two.steps)
    np.testing.assert_array_equal(one.values, two.values)


def test_a_replay_compares_every_choice(hand, whole, monkeypatch):
    found = hand.replay(whole)
    assert found.equal, found.first_difference
    monkeypatch.setattr("workbench.training.selecting.entropy", lambda counts: 0.5)
    other = hand.replay(whole)
    assert not other.equal
    assert other.first_difference.step == 0
    assert "entropy" in str(other.first_difference)


def test_a_fork_in_mid_epoch_shares_the_choices_before_it(hand, whole):
    at = 2 * PER_EPOCH + 2
    child = fork(hand.store, whole, at, {f"{POLICY}.threshold": 0.2}, who="ada")
    hand.train(child)
    mine, theirs = (Run(name, hand.store).selection for name in (child, whole))
    np.testing.assert_array_equal(mine["kept"][:2], theirs["kept"][:2])
    assert mine["kept"][2].sum() > theirs["kept"][2].sum(), "a lower bar keeps more, at once"
    steps = hand.store.metrics.read(child, SELECTION).steps.tolist()
    assert steps == [0, PER_EPOCH, 2 * PER_EPOCH, at, 3 * PER_EPOCH]
    assert hand.replay(child).equal
    same = fork(hand.store, whole, at, {}, who="ada")
    hand.train(same)
    assert hand.weights(same) == hand.weights(whole)


def test_a_policy_set_in_mid_run_chooses_from_that_step_on(hand, monkeypatch):
    monkeypatch.setattr("workbench.training.loop.CHECKPOINT_SECONDS", 0.0)
    plan = {**CHANGES, POLICY: None}
    at = PER_EPOCH + 2
    run = hand.train(plan, at={at: (POLICY, CONFIDENT)})
    series = hand.store.metrics.read(run, SELECTION)
    assert series.steps.tolist() == [at, 2 * PER_EPOCH, 3 * PER_EPOCH]
    assert Run(run, hand.store).selection["epochs"].tolist() == [1, 2, 3]
    assert hand.replay(run).equal
    again = hand.accept(plan)
    hand.train(again, at={at: (POLICY, CONFIDENT), at + 1: killed})
    hand.train(again)
    assert_same(hand, again, run)
    assert_same_choices(hand.store, again, run)


def test_a_policy_that_would_show_nothing_cannot_be_set(hand, whole):
    asked = []
    strict = {**CONFIDENT, "threshold": 0.999999, "per_class": False}

    def ask(run: str) -> None:
        asked.append(hand.set(run, POLICY, strict))

    run = hand.accept(CHANGES)
    hand.train(run, at={PER_EPOCH + 2: lambda: ask(run)})
    said = hand.refusal(asked[0])
    assert "none of the 216 training rows is usable in epoch 2" in said
    assert_same(hand, run, whole)


def test_a_later_epoch_without_a_usable_row_ends_the_run_with_a_way_out(data):
    class Once(RandomRows):
        def choose(self, report: Report) -> Any:
            return super().choose(report) & (report.epoch == 0)

    part = part_of(data)
    part.selecting = Selecting(Once(use="random-rows", share=0.5), data, None, model(data, 2))
    part.batch(PER_EPOCH - 1)
    with pytest.raises(RunFailed, match=rf"in epoch 2\..*a fork before step {PER_EPOCH}"):
        part.batch(PER_EPOCH)


def test_a_policy_switched_off_in_mid_run_shows_everything_again(hand, whole, data):
    at = PER_EPOCH + 2
    shown: dict[int, np.ndarray] = {}
    taken = Part.batch

    def batch(part: Part, step: int) -> Any:
        found = taken(part, step)
        shown[step] = found.ids.numpy()
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Part, "batch", batch)
        run = hand.train(CHANGES, at={at: (POLICY, None)})
    assert hand.store.metrics.read(run, SELECTION).steps.tolist() == [0, PER_EPOCH]
    assert hand.weights(run) != hand.weights(whole)
    last = np.concatenate([shown[step] for step in range(2 * PER_EPOCH, 3 * PER_EPOCH)])
    np.testing.assert_array_equal(np.sort(last), data.split_ids("train"))
    assert hand.replay(run).equal


def test_what_a_changed_policy_had_chosen_before_stays_known(hand, whole):
    at = 2 * PER_EPOCH
    run = hand.train(CHANGES, at={at: (POLICY, {"use": "random-rows", "share": 0.25})})
    mine, theirs = (Run(name, hand.store).selection for name in (run, whole))
    np.testing.assert_array_equal(mine["epochs"], theirs["epochs"])
    np.testing.assert_array_equal(mine["kept"][:2], theirs["kept"][:2])
    assert mine["kept"][2:].mean(1) == pytest.approx([0.25, 0.25], abs=0.01)


def test_wrong_labels_on_every_row_of_the_pool_change_no_bit(hand, whole):
    """The poison names another class on each row that the student could see a label of."""
    poisoned = hand.train({**CHANGES, "data.label_noise": 1.0})
    wrong = hand.row(poisoned).protocol["data"]
    assert wrong["wrong_labels"] == wrong["visible_labels"] > 100
    assert_same(hand, poisoned, whole)
    assert_same_choices(hand.store, poisoned, whole)


def test_the_teacher_is_the_one_of_the_clean_images(hand, whole):
    plain = {"use": "digits", "limit": 300}
    without = hand.train({**CHANGES, "data": plain, POLICY: None, f"{MAIN}.epochs": 1})
    hashes = [hand.row(run).protocol["teacher"]["hash"] for run in (whole, without)]
    assert hashes[0] == hashes[1]
    assert hand.row(without).protocol["teacher"]["source"] == "from the cache"


def test_a_pool_without_a_usable_row_is_refused_at_step_0(store):
    spec = spec_of(
        **{POLICY: {**CONFIDENT, "threshold": 0.999999, "per_class": False}},
        teacher={"use": "cnn-small", "width": 4, "train": {"steps": 2}},
    )
    run = accept(store, spec, threads=1)
    log = store.runs.folder(run) / "log.txt"
    with untouched_torch(), log.open("a") as file, redirect_stdout(file):
        assert work(str(store.path), run, spec) == 2
    row = store.runs.get(run)
    assert was_refused(row)
    assert row.error is not None
    assert "none of the 216 training rows is usable in epoch 1" in row.error["message"]
    assert not len(store.metrics.read(run, SELECTION).steps)
    assert not (store.runs.folder(run) / "selection.safetensors").exists()
    assert [part.status for part in store.runs.list(roles=None, group=run) if part.active] == []
