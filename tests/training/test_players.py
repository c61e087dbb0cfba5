"""Players: another truth for the look-ahead's gradient, a student left as found, and refusals."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from workbench.data.images import ImageData, build_data
from workbench.errors import BadData, BadInput, RunFailed
from workbench.models.weights import weights_hash
from workbench.runs.launch import accept
from workbench.runs.worker import work
from workbench.specs.experiment import ExperimentSpec
from workbench.targets.teacher import FrozenTeacher
from workbench.training.build import build_model, student_part
from workbench.training.casting import build_players
from workbench.training.device import reseed
from workbench.training.part import Part
from workbench.training.per_sample import rows_outside
from workbench.training.players import PATIENCE, Playing

from ..small import SMALL

CPU = torch.device("cpu")
MAIN = "stages.main"
PLAYER: dict[str, Any] = {"trains": "terms.fuse.net", "terms": {"ce": {"use": "ce"}}}
FUSED: dict[str, Any] = {
    f"{MAIN}.terms": {
        "fuse": {
            "use": "mix",
            "a": {"use": "kd", "temperature": 1.5},
            "b": {"use": "ce"},
            "net": {"use": "geometry", "hidden": [8]},
        }
    },
    f"{MAIN}.players": {"controller": PLAYER},
}
PLAIN_STEP = {"use": "sgd", "lr": 1.0}
"""A player's step that is its gradient."""
STUDENTS = {
    "dropout": {"use": "mlp", "hidden": [8], "dropout": 0.3},
    "batch-norm": {"use": "timm/test_resnet", "drop_rate": 0.3},
}


class NoKeeper:
    open_run = None


def built(
    changes: dict[str, Any] | None = None, data: ImageData | None = None
) -> tuple[Part, Playing]:
    """A student's training with its player, and that player."""
    spec = ExperimentSpec.parse(SMALL).replace({**FUSED, **(changes or {})})
    data = data or build_data(spec.data, base=Path.cwd(), seed=0)

    def make(kind: Any, role: str) -> Any:
        return build_model(kind, data, seed=0, role=role, keeper=NoKeeper(), device=CPU)

    teacher = make(spec.teacher, "teacher")
    part = student_part(spec, data, make(spec.student, "student"), teacher, CPU)
    part.target = FrozenTeacher(teacher, part.objective.target_taps)
    part.players = build_players(spec, part, teacher, data)
    part.train_mode()
    return part, part.players[0]


def in_float64(part: Part, player: Playing) -> None:
    assert isinstance(part.target, FrozenTeacher)
    for module in (part.model, part.target.teacher, player.module):
        module.double()


def weights(player: Playing) -> torch.Tensor:
    return torch.cat([one.detach().flatten().clone() for one in player.module.parameters()])


def meta_loss(part: Part, player: Playing, step: int) -> float:
    """What the student says of meta rows after one step of plain SGD, written out by hand."""
    student, net = copy.deepcopy(part.model), player.module
    assert isinstance(part.target, FrozenTeacher)
    batch = part.batch(step)
    with torch.no_grad():
        theirs = part.target.teacher(batch.inputs)
    reseed(part.seed, "student", step)
    logits = student(batch.inputs)
    with torch.no_grad():
        ratio = net.ratio(logits, theirs, batch)
    softened = [(one / 1.5).log_softmax(-1) for one in (logits, theirs)]
    kd = 1.5**2 * F.kl_div(*softened, reduction="none", log_target=True).sum(-1)
    ce = F.cross_entropy(logits, batch.labels.clamp_min(0), reduction="none") * batch.labelled
    loss = (ratio * kd + (1 - ratio) * ce).mean()
    over = list(student.network.parameters())
    slopes = torch.autograd.grad(loss, over)
    with torch.no_grad():
        for weight, slope in zip(over, slopes, strict=True):
            weight -= part.rate(step) * slope
    meta = player._batch(part, step, 0)
    reseed(part.seed, "player", player.name, step, 0)
    with torch.no_grad():
        return float(F.cross_entropy(student(meta.inputs), meta.labels))


@pytest.mark.parametrize("stage", ["sgd", "adamw"])
def test_the_gradient_of_a_look_ahead_is_that_of_the_loss_after_a_plain_step(stage):
    """By finite differences, in float64; dropout has the masks of the real step."""
    part, player = built(
        {
            "student": STUDENTS["dropout"],
            f"{MAIN}.optimiser": {"use": stage, "lr": 0.1},
            f"{MAIN}.players": {"controller": {**PLAYER, "optimiser": PLAIN_STEP}},
        }
    )
    in_float64(part, player)
    before, step = weights(player), 3
    size = 1e-6  # small: leaky ReLUs bend
    generator = torch.Generator().manual_seed(0)
    ways = [torch.randn(len(before), generator=generator).double() for _ in range(4)]
    expected = []
    for way in ways:
        told = []
        for sign in (1, -1):
            moved = before + sign * size * way
            torch.nn.utils.vector_to_parameters(moved, player.module.parameters())
            told.append(meta_loss(part, player, step))
        expected.append((told[0] - told[1]) / (2 * size))
    torch.nn.utils.vector_to_parameters(before.clone(), player.module.parameters())
    player.move(part, part.batch(step), step)
    slope = before - weights(player)
    assert slope.norm() > 0
    assert player.numbers[0] == pytest.approx(meta_loss(part, _put(player, before), step))
    np.testing.assert_allclose([float(way @ slope) for way in ways], expected, rtol=1e-4)


def _put(player: Playing, at: torch.Tensor) -> Playing:
    torch.nn.utils.vector_to_parameters(at.clone(), player.module.parameters())
    return player


@pytest.mark.parametrize("student", STUDENTS)
def test_a_move_leaves_the_student_and_the_random_states_and_moves_the_part(student):
    part, player = built({"student": STUDENTS[student]})
    batch, own = part.batch(0), weights(player)
    before, drawn = weights_hash(part.model), torch.default_generator.get_state()
    modes = [module.training for module in part.model.modules()]
    player.move(part, batch, 0)
    assert not torch.equal(weights(player), own)
    assert weights_hash(part.model) == before
    assert torch.equal(torch.default_generator.get_state(), drawn)
    assert [module.training for module in part.model.modules()] == modes
    assert all(one.grad is None for one in part.model.parameters())
    assert all(one.grad is None for one in player.module.parameters())
    assert all(one.requires_grad for one in part.model.network.parameters())


@pytest.mark.parametrize("student", STUDENTS)
def test_a_player_that_stays_as_it_is_moves_no_bit_of_the_run(student, train, monkeypatch):
    """Its look-ahead runs the student forward and back, and is not seen again."""
    still = {**PLAYER, "optimiser": {"use": "sgd", "lr": 0.0}}
    changes = {**FUSED, "student": STUDENTS[student], f"{MAIN}.players": {"controller": still}}
    changes[f"{MAIN}.steps"] = 4
    played = train(changes)
    assert played.series().column("controller.gradient").min() > 0
    monkeypatch.setattr(Playing, "move", lambda *_: None)
    assert train(changes).weights == played.weights


def test_no_player_is_as_if_there_were_no_such_thing(train, plain):
    empty = train({f"{MAIN}.players": {}})
    assert empty.weights == plain.weights
    np.testing.assert_array_equal(empty.series().values, plain.series().values)


def test_it_moves_every_few_steps_as_often_as_asked_through_all_rows_of_its_split():
    spec = {**PLAYER, "every": 3, "steps": 2, "batch_size": 4, "split": "val"}
    part, player = built({f"{MAIN}.players": {"controller": spec}})
    seen: list[torch.Tensor] = []
    real = part.data.fetch_full

    def fetch(ids: Any) -> Any:
        seen.append(torch.as_tensor(ids))
        return real(ids)

    part.data.fetch_full = fetch  # type: ignore[method-assign]
    moved = []
    for step in range(12):
        before = weights(player)
        player.move(part, part.batch(step), step)
        moved.append(not torch.equal(weights(player), before))
    assert moved == [True, False, False] * 4
    val = set(part.data.split_ids("val").tolist())
    assert len(seen) == 8 and all(len(ids) == 4 for ids in seen)
    first = torch.cat(seen[: len(val) // 4]).tolist()
    assert len(set(first)) == len(first) and set(torch.cat(seen).tolist()) <= val


def test_a_player_on_training_rows_sees_no_label_that_the_student_may_not_see():
    part, player = built({f"{MAIN}.players": {"controller": {**PLAYER, "split": "train"}}})
    told = [player._batch(part, step, 0) for step in range(4)]
    visible = set(part.data.visible_ids.tolist())
    for batch in told:
        labelled = set(batch.ids[batch.labelled].tolist())
        assert labelled == set(batch.ids.tolist()) & visible
    player.move(part, part.batch(0), 0)
    assert np.isfinite(player.numbers).all()


def test_a_player_may_match_the_teacher_on_rows_outside_the_training_part(train):
    kd = {**PLAYER, "terms": {"kd": {"use": "kd"}}}
    series = train({**FUSED, f"{MAIN}.players": {"controller": kd}}).series()
    assert np.isfinite(series.column("controller.loss")).all()
    assert series.column("controller.gradient").min() > 0


def test_rows_outside_the_training_part_are_those_of_players_and_of_probes_that_ask_terms():
    spec = ExperimentSpec.parse(SMALL)
    data = build_data(spec.data, base=Path.cwd(), seed=0)
    assert len(rows_outside(spec, data)) == 0
    meta, probe = (data.split_ids(name) for name in ("meta", "probe"))
    np.testing.assert_array_equal(rows_outside(spec.replace(FUSED), data), meta)
    both = rows_outside(spec.replace({**FUSED, "probes": ["ratio"]}), data)
    np.testing.assert_array_equal(both, np.union1d(meta, probe))


def test_a_player_without_look_ahead_whose_part_nobody_judges_is_declared_dead(store):
    """The released code of TGeo-KD: its network never gets a gradient."""
    dead = {**PLAYER, "lookahead": False}
    part, player = built({f"{MAIN}.players": {"controller": dead}})
    for step in range(PATIENCE - 1):
        player.move(part, part.batch(step), step)
    with pytest.raises(RunFailed, match=r"'controller' trains terms\.fuse\.net.*zero for 10 moves"):
        player.move(part, part.batch(PATIENCE - 1), PATIENCE - 1)
    spec = ExperimentSpec.parse(SMALL).replace({**FUSED, f"{MAIN}.players.controller": dead})
    run = accept(store, spec, base=Path.cwd(), threads=1)
    assert work(str(store.path), run) == 1
    row = store.runs.get(run)
    assert row.status == "failed" and row.step < PATIENCE
    assert "set `lookahead: true`" in str(row.error)


def test_its_silence_is_counted_across_a_checkpoint():
    dead = {f"{MAIN}.players": {"controller": {**PLAYER, "lookahead": False}}}
    part, player = built(dead)
    for step in range(6):
        player.move(part, part.batch(step), step)
    other, heir = built(dead)
    heir.load(copy.deepcopy(player.state()))
    for step in range(6, PATIENCE - 1):
        heir.move(other, other.batch(step), step)
    with pytest.raises(RunFailed, match="zero for 10 moves by step 9"):
        heir.move(other, other.batch(PATIENCE - 1), PATIENCE - 1)


def test_a_player_goes_on_from_its_state_with_the_same_bits():
    part, player = built()
    for step in range(3):
        player.move(part, part.batch(step), step)
    other, heir = built()
    heir.load(copy.deepcopy(player.state()))
    for step in range(3, 6):
        player.move(part, part.batch(step), step)
        heir.move(other, other.batch(step), step)
    assert torch.equal(weights(heir), weights(player))
    assert heir.numbers == player.numbers


CASES = {
    "trains nothing": (
        {f"{MAIN}.players.controller.trains": "terms.fuse.nett"},
        r"players\.controller\.trains: 'terms\.fuse\.nett' is no such part\. Did you mean "
        r"'terms\.fuse\.net'\?",
    ),
    "two of one": (
        {f"{MAIN}.players.other": PLAYER},
        r"players\.other\.trains: 'terms\.fuse\.net' is trained by another player\. Free: none",
    ),
    "no player": (
        {f"{MAIN}.players": {}},
        r"stages\.main\.terms\.fuse\.net: no player trains it",
    ),
    "learns itself": (
        {f"{MAIN}.players.controller.terms": {"hint": {"use": "hint"}}},
        r"players\.controller\.terms: hint has a learned or remembering part",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_player_that_cannot_play_is_refused(case):
    changes, said = CASES[case]
    with pytest.raises(BadInput, match=said):
        built(changes)


def test_a_refused_player_ends_a_run_with_exit_code_2_before_a_teacher_is_trained(store):
    spec = ExperimentSpec.parse(SMALL).replace({**FUSED, f"{MAIN}.players": {}, "seed": 77})
    teachers = len(store.runs.list(roles=("teacher",)))
    run = accept(store, spec, base=Path.cwd(), threads=1)
    assert work(str(store.path), run) == 2
    assert len(store.runs.list(roles=("teacher",))) == teachers


def test_an_empty_split_is_refused_and_data_too_small_for_one_never_get_so_far():
    data = build_data(ExperimentSpec.parse(SMALL).data, base=Path.cwd(), seed=0)
    none = ImageData(data.examples, replace(data.splits, meta=np.zeros(0, np.int64)))
    with pytest.raises(
        BadInput, match=r"split: digits has no rows in 'meta'.*Splits with rows: val, train"
    ):
        built(data=none)
    with pytest.raises(BadData, match=r"too few for the parts train, .*meta"):
        built({"data.limit": 12})
