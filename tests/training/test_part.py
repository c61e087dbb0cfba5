"""Which rows a step takes, also with another batch size; what is frozen; which rows are shown."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.training.build import frozen_paths
from workbench.training.part import Length, Part, below
from workbench.training.steering import Steering

MAIN = "stages.main"


@pytest.fixture
def parts(monkeypatch):
    """Parts of students as they are made, oldest first."""
    made, found = Steering.__init__, []

    def remembered(steering, spec, part, *args, **kwargs):
        found.append(part)
        made(steering, spec, part, *args, **kwargs)

    monkeypatch.setattr(Steering, "__init__", remembered)
    return found


def taken(length: Length, steps: int) -> list[tuple[int, int]]:
    """(epoch, row) of every row that the steps take, in order."""
    found = []
    for step in range(steps):
        epoch, row = length.place(step)
        found += [(epoch, i) for i in range(row, min(row + length.batch_size, length.rows))]
    return found


@pytest.mark.parametrize("batch_size", [1, 7, 10, 23, 30])
def test_every_epoch_takes_every_row_once(batch_size):
    length = Length(batch_size, 23, 100)
    per_epoch = -(-23 // batch_size)
    assert taken(length, 3 * per_epoch) == [(e, row) for e in range(3) for row in range(23)]


@pytest.mark.parametrize("step", range(9))
@pytest.mark.parametrize("batch_size", [1, 4, 9, 50])
def test_after_another_batch_size_the_epoch_goes_on_where_it_was(step, batch_size):
    before = Length(5, 23, 100)
    after = before.then(step, batch_size=batch_size, rows=23, epochs=4, steps=None)
    rows = taken(before, step)
    for number in range(step, after.steps):
        epoch, row = after.place(number)
        rows += [(epoch, i) for i in range(row, min(row + batch_size, 23))]
    assert rows == [(e, row) for e in range(4) for row in range(23)]


def test_the_length_may_change_twice_and_in_one_epoch():
    first = Length(5, 23, 100)
    second = first.then(2, batch_size=3, rows=23, epochs=2, steps=None)
    third = second.then(4, batch_size=7, rows=23, epochs=2, steps=None)
    places = [third.place(step) for step in range(4, third.steps)]
    assert places == [(0, 16), (1, 0), (1, 7), (1, 14), (1, 21)]


def test_a_length_in_steps_stays_and_never_ends_before_now():
    length = Length(5, 23, 100)
    assert length.then(7, batch_size=4, rows=23, epochs=None, steps=60).steps == 60
    assert length.then(7, batch_size=4, rows=23, epochs=None, steps=3).steps == 7
    assert length.then(7, batch_size=5, rows=23, epochs=1, steps=None).steps == 7 + 3


def test_a_length_that_does_not_change_gives_the_same_places():
    length = Length(5, 23, 40)
    again = length.then(12, batch_size=5, rows=23, epochs=8, steps=None)
    assert [again.place(s) for s in range(12, 40)] == [length.place(s) for s in range(12, 40)]
    assert again.steps == 40


@pytest.mark.parametrize(
    ("name", "paths", "frozen"),
    [
        ("stem.weight", ("stem",), True),
        ("stem2.weight", ("stem",), False),
        ("a.b.c", ("a.b",), True),
        ("a.b", ("a.b",), True),
        ("a", ("a.b",), False),
        ("a", (), False),
    ],
)
def test_what_lies_below_a_module(name, paths, frozen):
    assert below(name, paths) is frozen


# A part as a run makes it


def test_rows_that_are_shown_fill_those_that_are_not(train, parts):
    train({f"{MAIN}.rows.labels": "visible", f"{MAIN}.steps": 1})
    part: Part = parts[-1]
    shown = set(part.data.visible_ids.tolist())
    assert set(part.rows.tolist()) == shown
    orders = [part._planned(epoch) for epoch in range(2)]
    for order in orders:
        assert len(order) == part.data.num_train
        assert set(order.tolist()) == shown
        counts = np.unique(order, return_counts=True)[1]
        assert counts.max() - counts.min() <= 1, "each comes as often as the others"
    assert orders[0].tolist() != orders[1].tolist()
    whole = part.data.plan(part.seed, 0)
    assert orders[0][: len(shown)].tolist() == [row for row in whole.tolist() if row in shown]


def test_showing_all_rows_again_gives_the_order_that_would_have_been(train, parts):
    train({f"{MAIN}.steps": 1})
    part: Part = parts[-1]
    before = part.batch(3).ids.tolist()
    part.show(part.rows if part.rows is not None else part.data.visible_ids)
    assert part.batch(3).ids.tolist() != before
    part.show(None)
    assert part.batch(3).ids.tolist() == before


def test_what_is_frozen_keeps_weights_and_statistics_and_learns_again_later(train, parts):
    plan = [
        {"step": 4, "set": {f"{MAIN}.freeze": ["stage1"]}},
        {"step": 9, "set": {f"{MAIN}.freeze": []}},
    ]
    seen: dict[int, dict[str, torch.Tensor]] = {}
    real = Part.set_rate

    def looked(part: Part, step: int) -> float:
        if part in parts:
            state = part.model.network.state_dict()
            seen[step] = {name: value.clone() for name, value in state.items()}
        return real(part, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Part, "__hash__", object.__hash__, raising=False)
        patch.setattr(Part, "__eq__", object.__eq__)
        patch.setattr(Part, "set_rate", looked)
        train({"interventions": plan, "student": "cnn-tiny"})
    names = {name for name in seen[0] if name.startswith("blocks.0.")}
    assert any("running_mean" in name for name in names), "BatchNorm's statistics are among them"

    def moved(one: int, other: int) -> set[str]:
        return {n for n in seen[0] if not torch.equal(seen[one][n], seen[other][n])}

    # set_rate comes after a forward and before its step: statistics are one forward ahead
    parameters = {n for n in names if "running" not in n and "num_batches" not in n}
    statistics = names - parameters
    assert not moved(4, 9) & parameters
    assert not moved(5, 8) & names
    assert moved(5, 8) - names, "the rest goes on"
    assert parameters <= moved(9, 11)
    assert statistics <= moved(8, 10)
    assert parameters <= moved(0, 4)


def test_frozen_paths_know_stages_modules_and_what_is_left(train, parts):
    train({f"{MAIN}.steps": 1, "student": "cnn-tiny"})
    part: Part = parts[-1]
    trained = part.groups["network"]
    assert frozen_paths(part.model, ["stage1", "classifier"], trained) == ("blocks.0", "classifier")
    assert frozen_paths(part.model, [], trained) == ()
    for parameter in part.model.network.parameters():
        parameter.requires_grad_(False)
    assert frozen_paths(part.model, ["classifier"], trained) == ("classifier",)
