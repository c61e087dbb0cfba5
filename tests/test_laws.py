"""Laws of what trains, each over everything that is registered: 2, 4 and 6 of six.

What is registered is asked of the registries, so a kind that comes later is held to them too; one
that cannot be built from its name alone needs an example in ``tests/examples.py``. Law 1 is
about terms: ``tests/terms/test_weighted_sum.py``; 3 and 5 about plain data:
``tests/specs/test_laws_of_data.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from workbench.data.images import ImageData, build_data
from workbench.data.policy import Report
from workbench.models.adapter import ModelAdapter
from workbench.models.facts import ModelContext
from workbench.models.weights import weights_hash
from workbench.probes.probe import Pair
from workbench.probes.view import Pulls, Rows, look
from workbench.registries import DATA, MODELS, POLICIES, PROBES, RATIOS, TARGETS, TERMS
from workbench.specs.experiment import ExperimentSpec
from workbench.store.store import Store
from workbench.targets.kinds import Moment, TargetContext
from workbench.targets.teacher import FrozenTeacher
from workbench.terms.term import TermContext, TermKind
from workbench.training.build import build_model, student_part
from workbench.training.checkpoint import read_state
from workbench.training.choices import FILE
from workbench.training.part import Part
from workbench.training.players import Playing
from workbench.training.selecting import Selecting

from .examples import OF_TOKENS, TRANSFORMER, example, kind_data, term_data
from .runs.touched import MAIN, TINY, Hand, assert_same, killed, untouched_torch
from .terms import test_every_term as made_up

CPU = torch.device("cpu")
EPOCHS, EPOCH = 4, 2


class NoKeeper:
    """Networks here need nothing that is stored."""

    open_run = None


@pytest.fixture(scope="module")
def digits() -> ImageData:
    spec = DATA.get("digits").model_validate({"use": "digits", "limit": 200, "labels_per_class": 4})
    return build_data(spec, base=Path.cwd(), seed=0)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    opened = Store(str(tmp_path_factory.mktemp("laws") / "workbench.db"))
    yield opened
    opened.close()


@pytest.fixture
def hand(store, monkeypatch):
    with untouched_torch():
        yield Hand(store, monkeypatch)


def network(digits: ImageData, seed: int) -> ModelAdapter:
    """With batch norm and dropout: modes and buffers are something."""
    context = ModelContext(1, 8, 8, 10, digits.mean, digits.std, seed=seed, open_run=None)
    data = {"use": "timm/test_resnet", "drop_rate": 0.3}
    built: ModelAdapter = MODELS.get("timm/test_resnet").model_validate(data).build(context)
    return built


@pytest.fixture
def as_found() -> Iterator[Callable[..., None]]:
    """``as_found(*models)`` notes how they stand; in the end they and torch's draws stand so."""
    watched: list[tuple[ModelAdapter, str, list[bool]]] = []
    torch.manual_seed(3)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()

    def note(*models: ModelAdapter) -> None:
        watched.extend((m, weights_hash(m), [x.training for x in m.modules()]) for m in models)

    yield note
    assert watched
    for model, weights, modes in watched:
        assert weights_hash(model) == weights, "weights or buffers have changed"
        assert [each.training for each in model.modules()] == modes, "modes have changed"
        assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), states[0]), "something was drawn from torch"
    assert np.array_equal(np.random.get_state()[1], states[1]), "something was drawn from numpy"


# 2. Only optimisers, players and builders change weights; whoever looks leaves all as it was


@pytest.mark.parametrize("name", TARGETS.names())
def test_a_target_leaves_models_and_draws_as_it_found_them(name, digits, as_found):
    student, teacher, other = (network(digits, seed) for seed in range(3))
    kind = example("target", name)
    target = kind.build(
        TargetContext(
            teacher=teacher,
            open_model=lambda _: other,
            open_stage=lambda _: other,
            num_rows=len(digits.examples),
            train_ids=torch.from_numpy(digits.split_ids("train")),
            num_classes=10,
        )
    )
    batch = digits.fetch_train(digits.plan(0, 0)[:8])
    student.train()
    said = student.taps(batch.inputs, ()) if target.follows_student else None
    as_found(*(model for model in (student, teacher, other)))
    torch.manual_seed(3)
    values = {key: float(value) for key, value in kind.knobs().items()}
    moment = Moment(step=5, steps=20, epoch=1, epochs=4)
    rows = torch.from_numpy(digits.split_ids("train"))
    target.want(["logits"])
    first = target(batch, values, moment, said)
    target.prepare(len(digits.examples), rows, lambda ids: digits.fetch(ids).inputs, lambda _: None)
    again = target(batch, values, moment, said)
    torch.testing.assert_close(first["logits"], again["logits"], rtol=1e-4, atol=1e-4)
    target.after_step(batch, said or first)
    target.load({key: tensor.clone() for key, tensor in target.state().items()})
    assert not any(tensor.requires_grad for tensor in again.values())


@pytest.mark.parametrize("name", POLICIES.names())
def test_a_policy_and_its_pass_leave_models_and_draws_as_they_found_them(name, digits, as_found):
    policy = kind_data("data policy", name)
    part, teacher = part_of({f"{MAIN}.policy": policy})
    part.selecting = Selecting(example("data policy", name), part.data, None, teacher)
    part.train_mode()
    as_found(part.model, teacher)
    torch.manual_seed(3)
    part.selecting.at(part, 0, 0)
    assert part.rows is not None and len(part.rows) > 0


@pytest.mark.parametrize("name", POLICIES.names())
def test_a_policy_is_pure_in_its_report(name):
    policy = example("data policy", name)
    generator = torch.Generator().manual_seed(0)
    logits = [6 * torch.randn(50, 4, generator=generator) for _ in range(2)]
    kept = [each.clone() for each in logits]
    state = torch.get_rng_state()
    report = Report(EPOCH, EPOCHS, 5, 50, *logits)
    first, second = policy.choose(report), policy.choose(report)
    assert first.dtype == bool and first.shape == (50,) and first.any()
    assert np.array_equal(first, second)
    assert all(torch.equal(one, other) for one, other in zip(logits, kept, strict=True))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", RATIOS.names())
def test_a_ratio_network_is_seeded_by_its_context_and_moves_only_itself(name):
    kind = example("ratio network", name)
    torch.manual_seed(3)
    state = torch.get_rng_state()

    def shapes(names: Any) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(names, (4,))

    def means() -> torch.Tensor:
        return torch.eye(4)

    nets = [
        kind.build(TermContext(shapes, shapes, (), (), seed=seed, teacher_means=means))
        for seed in (1, 1, 2)
    ]
    assert weights_hash(nets[0]) == weights_hash(nets[1]) != weights_hash(nets[2])
    batch = made_up.batch_of(6, labels=[0, 1, 2, 3, -1, 0])
    own, their = (torch.randn(6, 4, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    own.requires_grad_()
    ratio = nets[0].ratio(own, their, batch)
    assert ratio.shape == (6,) and bool(((ratio >= 0) & (ratio <= 1)).all())
    ratio.sum().backward()
    assert own.grad is None and their.grad is None
    assert any(weight.grad is not None for weight in nets[0].parameters())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", PROBES.names())
def test_a_probe_leaves_models_and_draws_as_it_found_them(name, digits, as_found):
    kind = example("probe", name)
    student, teacher = network(digits, 0).train(), network(digits, 1)
    ids, val = digits.split_ids("probe"), digits.split_ids("val")
    shown, checked = digits.fetch_full(ids), digits.fetch_full(val)
    rows = Rows(
        torch.from_numpy(ids), shown.inputs, shown.labels, checked.inputs, checked.labels, 16
    )
    one = np.ones(1)
    pulls = Pulls(("kd",), one, one, one, one, np.ones((1, 1)), 8, 8)
    layers = ("stage1", "stage2")
    as_found(student, teacher)
    torch.manual_seed(3)
    seen = look(teacher, rows, layers, val=True)
    probe = kind.build(Pair(rows, seen, layers, layers, digits.class_names))
    own = look(student, rows, layers, val=True)
    logs = {f"kd.{kind.needs_log}": np.full(len(ids), 0.5, np.float32)} if kind.needs_log else None
    own = type(own)(own.logits, own.val_logits, own.features, pulls, logs)
    first, second = probe.measure(own), probe.measure(own)
    assert first.facts == second.facts
    for key, array in first.arrays.items():
        np.testing.assert_array_equal(array, second.arrays[key])


def part_of(changes: Mapping[str, Any] | None = None) -> tuple[Part, ModelAdapter]:
    """A part of the tiny experiment and its teacher, of random weights."""
    spec = ExperimentSpec.parse(TINY).replace(changes or {})
    data = build_data(spec.data, base=Path.cwd(), seed=0)

    def make(kind: Any, role: str) -> ModelAdapter:
        return build_model(kind, data, seed=0, role=role, keeper=NoKeeper(), device=CPU)  # type: ignore[arg-type]

    teacher = make(spec.teacher, "teacher")
    return student_part(spec, data, make(spec.student, "student"), teacher, CPU), teacher


def test_in_a_run_weights_move_in_optimiser_steps_alone(hand, monkeypatch):
    """With a player, a policy, a target that remembers and every probe: hashes around each step."""
    moved, seen = [], {}

    def parameters(part: Part) -> str:
        weights = [p.detach().numpy().tobytes() for p in part.model.network.parameters()]
        return str(hash(b"".join(weights)))

    real_rate, real_learned = Part.set_rate, Part.learned
    real_batch, real_move = Part.batch, Playing.move

    def batch(part, step):  # first of a step
        if part.players:
            now = parameters(part)
            assert seen.get("after") in (None, now), "weights moved between two steps"
            seen["before"] = now
        return real_batch(part, step)

    def move(player, part, of, step):
        real_move(player, part, of, step)
        assert parameters(part) == seen["before"], "a player moved the student"

    def rate(part, step):  # last before the optimiser's step
        if part.players:
            assert parameters(part) == seen["before"], "something moved it before the optimiser"
        return real_rate(part, step)

    def learned(part, of, taps):
        if part.players:
            moved.append(parameters(part) != seen["before"])
            seen["after"] = parameters(part)
        real_learned(part, of, taps)
        if part.players:
            assert parameters(part) == seen["after"], "a target moved the student"

    for name, new in (("batch", batch), ("set_rate", rate), ("learned", learned)):
        monkeypatch.setattr(Part, name, new)
    monkeypatch.setattr(Playing, "move", move)
    hand.train({**WITH_PLAYER, f"{MAIN}.policy": "random-rows", "probes": PROBES.names()})
    assert len(moved) == TINY["stages"]["main"]["steps"] and all(moved)


WITH_PLAYER = {
    f"{MAIN}.terms": {
        "fuse": {"use": "mix", "a": {"use": "ce"}, "b": {"use": "kd"}, "net": "geometry"},
    },
    f"{MAIN}.players": {
        "controller": {"trains": "terms.fuse.net", "split": "val", "terms": {"ce": {"use": "ce"}}}
    },
    "data.labels_per_class": 8,
}


# 4. What was selected is kept with where it comes from; a replay selects the same


POOL = {
    "data": {
        "use": "pool",
        "of": "digits",
        "limit": 300,
        "corrupted": 0.2,
        "foreign": {"use": "photo-patches", "count": 40},
    },
    "teacher": {"use": "cnn-small", "width": 4, "train": {"steps": 80}},
    f"{MAIN}.terms": {"kd": {"use": "kd"}},
}


@pytest.mark.parametrize("name", POLICIES.names())
def test_selected_rows_are_kept_with_their_origin_and_selected_again(name, hand, monkeypatch):
    changes = {**POOL, f"{MAIN}.policy": kind_data("data policy", name)}
    folder = hand.store.runs.folder
    run = hand.train(changes)
    assert hand.row(run).status == "finished", hand.row(run).error
    kept = {key: tensor.numpy() for key, tensor in read_state(folder(run) / FILE).items()}
    data = build_data(ExperimentSpec.parse(hand.row(run).experiment).data, base=Path.cwd(), seed=0)
    np.testing.assert_array_equal(kept["ids"], data.split_ids("train"))
    series = hand.store.metrics.read(run, "selection")
    np.testing.assert_array_equal(series.column("kept"), kept["kept"].sum(1))
    origins = [column for column in series.columns if column.startswith("origin.")]
    assert {"origin.digits", "origin.digits+blur", "origin.photo-patches"} <= set(origins)
    told = np.sum([series.column(column) for column in origins], axis=0)
    np.testing.assert_array_equal(told, kept["kept"].sum(1))
    assert hand.replay(run).equal
    monkeypatch.setattr("workbench.training.loop.CHECKPOINT_SECONDS", 0.0)
    again = hand.accept(changes)
    hand.train(again, at={9: killed})
    hand.train(again)
    assert_same(hand, again, run)
    for key, tensor in read_state(folder(again) / FILE).items():
        np.testing.assert_array_equal(tensor.numpy(), kept[key])


# 6. What is left out, weighs 0 or is empty changes no bit


@pytest.fixture(scope="module")
def plain(store):
    """The tiny experiment that nobody touched."""
    with pytest.MonkeyPatch.context() as patch, untouched_torch():
        return Hand(store, patch).train()


NOTHING: dict[str, dict[str, Any]] = {
    "a term of weight 0": {f"{MAIN}.terms.it": {"use": "hint", "weight": 0.0}},
    "a term whose course is 0 all the way": {
        f"{MAIN}.terms.it": {"use": "crd", "weight": {"use": "linear", "start": 0.0, "end": 0.0}}
    },
    "no players": {f"{MAIN}.players": {}},
    "no policy": {f"{MAIN}.policy": None},
    "all rows": {f"{MAIN}.rows": {"labels": "all"}},
    "a policy that keeps all rows": {f"{MAIN}.policy": {"use": "random-rows", "share": 1.0}},
    "the teacher by its name": {f"{MAIN}.target": {"use": "teacher"}},
    "nothing frozen": {f"{MAIN}.freeze": []},
    "fresh weights by their name": {f"{MAIN}.start": "fresh"},
    "every probe": {"probes": [name for name, kind in PROBES.items() if not kind.needs_log]},
}


@pytest.mark.parametrize("what", NOTHING)
def test_what_does_nothing_changes_no_bit_of_a_run(what, hand, plain):
    run = hand.train(NOTHING[what])
    assert hand.weights(run) == hand.weights(plain)
    mine, theirs = (hand.store.metrics.read(each, "train") for each in (run, plain))
    assert set(mine.columns) - set(theirs.columns) <= {"it"}
    for column in theirs.columns:
        np.testing.assert_array_equal(mine.column(column), theirs.column(column))


@pytest.mark.parametrize("name", TERMS.names())
def test_every_term_of_weight_0_is_not_built_and_draws_nothing(name):
    """One step: loss, gradients and random states are those of the stage without it."""
    models = {"teacher": TRANSFORMER, "student": TRANSFORMER} if name in OF_TOKENS else {}
    found = []
    for terms in ({}, {f"{MAIN}.terms.it": term_data(name, weight=0.0)}):
        torch.manual_seed(9)
        part, teacher = part_of({**models, **terms})
        part.target = FrozenTeacher(teacher, part.objective.target_taps)
        _, evaluated = part.forward(part.batch(0), 0)
        evaluated.total.backward()
        grads = [p.grad for p in part.model.parameters() if p.grad is not None]
        found.append((part, evaluated.total.detach(), grads, torch.get_rng_state()))
    (one, loss, grads, state), (other, same, again, left) = found
    assert one.columns() == other.columns() and one.groups == other.groups
    assert torch.equal(loss, same) and torch.equal(state, left)
    assert all(torch.equal(a, b) for a, b in zip(grads, again, strict=True))


def test_every_term_kind_says_what_it_pulls_towards():
    """The control leaves out what pulls towards the teacher: a term that kept silent would stay."""
    assert all(issubclass(kind, TermKind) for _, kind in TERMS.items())
    assert {kind.pull for _, kind in TERMS.items()} == {"teacher", "labels"}
