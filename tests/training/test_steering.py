"""How a part follows the experiment: built anew only where it must, with the bits it would have."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.errors import BadModel
from workbench.models.weights import weights_hash
from workbench.training.part import Part
from workbench.training.steering import Steering

MAIN = "stages.main"
TERMS = f"{MAIN}.terms"
SGD = {"use": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.001}
ADAMW = {"use": "adamw", "lr": 0.01, "weight_decay": 0.05}


def plan(*items):
    return {"interventions": [{"step": step, "set": changes} for step, changes in items]}


def assert_equal(one, other) -> None:
    assert one.weights == other.weights
    mine, theirs = one.series(), other.series()
    both = [name for name in mine.columns if name in theirs.columns]
    assert {"loss", "kd", "ce", "lr"} <= set(both)
    for name in both:
        np.testing.assert_array_equal(mine.column(name), theirs.column(name))


# Law 6: what is not there does not show, and comes with the bits it would have had


@pytest.mark.parametrize("optimiser", [SGD, ADAMW], ids=["sgd", "adamw"])
@pytest.mark.parametrize("use", ["hint", "dist"])
def test_a_term_of_weight_0_set_at_step_0_is_the_term_from_the_start(train, optimiser, use):
    base = {f"{MAIN}.optimiser": optimiser}
    term = {"use": use, "weight": 0.5}
    whole = train({**base, f"{TERMS}.more": term})
    later = train(
        {
            **base,
            f"{TERMS}.more": {**term, "weight": 0.0},
            **plan((0, {f"{TERMS}.more.weight": 0.5})),
        }
    )
    added = train({**base, **plan((0, {f"{TERMS}.more": term}))})
    assert_equal(later, whole)
    assert_equal(added, whole)
    np.testing.assert_array_equal(later.series().column("more"), whole.series().column("more"))


@pytest.mark.parametrize("optimiser", [SGD, ADAMW], ids=["sgd", "adamw"])
def test_until_it_is_set_a_term_of_weight_0_is_a_term_left_out(train, optimiser):
    """And then its learned part has a group of its own, with fresh memory of gradients."""
    base = {f"{MAIN}.optimiser": optimiser}
    without = train(base)
    later = train(
        {
            **base,
            f"{TERMS}.hint": {"use": "hint", "weight": 0.0},
            **plan((7, {f"{TERMS}.hint.weight": 0.5})),
        }
    )
    for name in ("loss", "kd", "ce"):
        np.testing.assert_array_equal(
            later.series().column(name)[:7], without.series().column(name)[:7]
        )
    hint = later.series().column("hint")
    assert np.isnan(hint[:7]).all()
    assert (hint[7:] > 0).all()
    assert later.weights != without.weights


@pytest.mark.parametrize("optimiser", [SGD, ADAMW], ids=["sgd", "adamw"])
def test_the_projector_of_a_later_term_starts_from_the_same_weights(train, parts, optimiser):
    base = {f"{MAIN}.optimiser": {**optimiser, "lr": 0.0}, f"{MAIN}.steps": 8}
    train({**base, f"{TERMS}.hint": {"use": "hint"}})
    train({**base, **plan((5, {f"{TERMS}.hint": {"use": "hint"}}))})
    first, second = (weights_hash(part.objective.modules()["hint"]) for part in parts[-2:])
    assert first == second


def test_a_weight_set_to_0_in_mid_run_stays_built(train, parts):
    off = train({f"{TERMS}.hint": {"use": "hint"}, **plan((5, {f"{TERMS}.hint.weight": 0.0}))})
    assert (off.series().column("hint")[5:] == 0).all()
    assert "terms.hint" in parts[-1].groups
    assert [wired.name for wired in parts[-1].objective.terms] == ["kd", "ce", "hint"]


def test_all_weights_may_be_0_for_a_while(train):
    """Nothing pulls, so with plain SGD nothing moves but the statistics."""
    off = train(
        {
            f"{MAIN}.optimiser": {"use": "sgd", "lr": 0.05},
            **plan(
                (5, {f"{TERMS}.kd.weight": 0.0, f"{TERMS}.ce.weight": 0.0}),
                (9, {f"{TERMS}.kd.weight": 0.9}),
            ),
        }
    )
    assert off.series().column("loss")[5:9].tolist() == [0.0] * 4
    assert off.series().column("loss")[9] > 0


@pytest.mark.parametrize("share", [0.0, 0])
def test_a_mix_of_share_0_is_the_teacher_alone(train, plain, share):
    other = train({"seed": 1})
    mix = {"use": "mix", "other": f"run:{other.run}@last", "share": share}
    assert_equal(train({f"{MAIN}.target": mix}), plain)
    assert_equal(train(plan((5, {f"{MAIN}.target": mix}))), plain)


def test_a_share_of_1_is_the_other_teacher(train):
    other = train({"seed": 1})
    name = f"run:{other.run}@last"
    mixed = train({f"{MAIN}.target": {"use": "mix", "other": name, "share": 1.0}})
    assert_equal(mixed, train({"teacher": name}))


def test_a_plan_that_changes_nothing_changes_nothing(train, plain):
    same = train(
        plan(
            (3, {f"{TERMS}.kd.weight": 0.9, f"{MAIN}.freeze": []}),
            (5, {f"{MAIN}.rows": {}, f"{MAIN}.target": "teacher"}),
            (6, {"teacher": {"use": "cnn-small", "width": 4, "train": {"steps": 20}}}),
            (7, {f"{MAIN}.batch_size": 32}),
        )
    )
    assert_equal(same, plain)


# What is kept and what is built anew


@pytest.fixture
def parts(monkeypatch):
    """Parts of students as they are made, oldest first."""
    made, found = Steering.__init__, []

    def remembered(steering, spec, part, *args, **kwargs):
        found.append(part)
        made(steering, spec, part, *args, **kwargs)

    monkeypatch.setattr(Steering, "__init__", remembered)
    return found


@pytest.fixture
def objects(monkeypatch, parts):
    """The term objects of every step of the newest part."""
    seen, real = [], Part.set_rate

    def looked(part, step):
        if parts and part is parts[-1]:
            seen.append({wired.name: wired.term for wired in part.objective.terms})
        return real(part, step)

    monkeypatch.setattr(Part, "set_rate", looked)
    return seen


def test_a_term_keeps_what_it_learned_unless_its_layers_or_its_kind_change(train, objects):
    hint = f"{TERMS}.hint"
    train(
        {
            hint: {"use": "hint"},
            **plan(
                (2, {f"{hint}.weight": 0.3}),
                (4, {f"{TERMS}.kd.temperature": 2.0}),
                (6, {f"{hint}.student_tap": "stage1"}),
                (8, {f"{hint}": {"use": "hint", "student_tap": "stage1", "weight": 2}}),
                (10, {f"{hint}.projector": "two-layer"}),
            ),
        }
    )
    hints = [id(terms["hint"]) for terms in objects]
    assert hints[0] == hints[5] != hints[6] == hints[9] != hints[10] == hints[13]
    assert len({id(terms["kd"]) for terms in objects}) == 1


def test_between_other_layers_the_projector_is_the_one_of_the_start(train, parts):
    hint = f"{TERMS}.hint"
    still = {f"{MAIN}.optimiser": {**SGD, "lr": 0.0}}
    train({**still, hint: {"use": "hint", "student_tap": "stage1"}})
    train({**still, hint: {"use": "hint"}, **plan((6, {f"{hint}.student_tap": "stage1"}))})
    first, second = (part.objective.modules()["hint"].state_dict() for part in parts[-2:])
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("optimiser", [SGD, ADAMW], ids=["sgd", "adamw"])
def test_groups_and_the_optimiser_hold_the_same_parameters(train, parts, optimiser):
    hint = f"{TERMS}.hint"
    train(
        {
            f"{MAIN}.optimiser": optimiser,
            hint: {"use": "hint", "weight": 0.0},
            **plan(
                (3, {f"{hint}.weight": 1.0}),
                (5, {f"{hint}.student_tap": "stage1"}),
                (7, {f"{hint}": {"use": "dist"}}),
                (9, {f"{hint}": {"use": "hint"}}),
            ),
        }
    )
    part = parts[-1]
    assert list(part.groups) == ["network", "terms.hint"]
    named = dict(part.model.network.named_parameters(prefix="network"))
    named |= dict(part.objective.modules()["hint"].named_parameters(prefix="terms.hint"))
    for group, held in zip(part.groups.values(), part.optimiser.param_groups, strict=True):
        assert [id(named[name]) for name in group] == [id(p) for p in held["params"]]
    assert set(part.optimiser.state) <= {
        p for g in part.optimiser.param_groups for p in g["params"]
    }


@pytest.mark.parametrize(
    ("optimiser", "name", "value", "held"),
    [
        (SGD, "momentum", 0.5, "momentum"),
        (SGD, "weight_decay", 0.2, "weight_decay"),
        (SGD, "nesterov", True, "nesterov"),
        (ADAMW, "weight_decay", 0.2, "weight_decay"),
        (ADAMW, "epsilon", 1e-3, "eps"),
    ],
)
def test_settings_of_the_optimiser_reach_every_group(train, parts, optimiser, name, value, held):
    changed = train(
        {
            f"{MAIN}.optimiser": optimiser,
            f"{TERMS}.hint": {"use": "hint"},
            **plan((7, {f"{MAIN}.optimiser.{name}": value})),
        }
    )
    assert [group[held] for group in parts[-1].optimiser.param_groups] == [value, value]
    plain = train({f"{MAIN}.optimiser": optimiser, f"{TERMS}.hint": {"use": "hint"}})
    mine, theirs = (run.series().column("loss") for run in (changed, plain))
    np.testing.assert_array_equal(mine[:8], theirs[:8])
    assert not np.array_equal(mine, theirs)


def test_another_kind_of_optimiser_starts_without_memory_over_all_that_may_ever_learn(train, parts):
    """Also what is frozen at that moment: it learns again when it is let go."""
    train(
        plan(
            (3, {f"{MAIN}.freeze": ["stage1"]}),
            (6, {f"{MAIN}.optimiser": SGD}),
            (9, {f"{MAIN}.freeze": []}),
        )
    )
    part = parts[-1]
    assert isinstance(part.optimiser, torch.optim.SGD)
    assert part.groups["network"] == [
        f"network.{name}" for name, _ in part.model.network.named_parameters()
    ]
    assert all(
        p.requires_grad and p in part.optimiser.state for p in part.model.network.parameters()
    )


def test_what_is_frozen_may_be_exchanged_for_all_the_rest(train):
    swapped = train(
        plan((3, {f"{MAIN}.freeze": ["stage1", "stage2"]}), (6, {f"{MAIN}.freeze": ["classifier"]}))
    )
    assert swapped.row.status == "finished"


def test_freezing_everything_is_refused(train):
    with pytest.raises(BadModel, match="is all of cnn-tiny; nothing learns"):
        train(plan((3, {f"{MAIN}.freeze": ["stage1", "stage2", "classifier"]})))


def test_another_teacher_is_looked_at_and_told_and_its_hash_is_journalled(train):
    other = train({"seed": 1})
    run = train(
        {"probes": ["loyalty"], **plan((6, {"teacher": f"run:{other.run}@last"}))},
    )
    (event,) = [e for e in run.store.journal.events(run.run) if e.kind == "set"]
    assert event.payload["teacher"] == other.weights
    assert run.row.protocol["teacher"]["hash"] == other.weights
    assert event.payload["before"]["use"] == "cnn-small"
    assert event.payload["after"]["use"] == f"run:{other.run}@last"


def test_the_rate_of_a_ramp_counts_from_the_beginning_of_the_stage(train):
    ramp = {"use": "linear", "start": 0.014, "end": 0.0}
    run = train(
        {f"{MAIN}.schedule": {"use": "constant"}, **plan((7, {f"{MAIN}.optimiser.lr": ramp}))}
    )
    rates = run.series().column("lr")
    assert rates[:7].tolist() == [0.01] * 7
    slope = np.diff(rates[7:])
    np.testing.assert_allclose(slope, slope[0], rtol=1e-6)
    whole = train({f"{MAIN}.schedule": {"use": "constant"}, f"{MAIN}.optimiser.lr": ramp})
    np.testing.assert_array_equal(rates[7:], whole.series().column("lr")[7:])
