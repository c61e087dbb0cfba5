"""Rows by label, class and confidence against numpy; teachers and data that may not come."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.errors import BadData, BadModel
from workbench.models.batch import UNLABELLED
from workbench.specs.stage import RowsSpec
from workbench.training.steering import Steering

MAIN = "stages.main"


@pytest.fixture(scope="module")
def workshop(train):
    """The workshop of a run that has ended."""
    with pytest.MonkeyPatch.context() as patch:
        made, found = Steering.__init__, []

        def remembered(steering, spec, part, workshop, *args, **kwargs):
            found.append((spec, workshop))
            made(steering, spec, part, workshop, *args, **kwargs)

        patch.setattr(Steering, "__init__", remembered)
        train()
    return found[0]


@pytest.fixture(scope="module")
def answers(workshop):
    """What the teacher says of each training row, in float64: (rows, answer, probability)."""
    _, shop = workshop
    rows = shop.data.split_ids("train")
    with torch.no_grad():
        logits = shop.teacher.model(shop.data.fetch(rows).inputs).double().numpy()
    probs = np.exp(logits - logits.max(-1, keepdims=True))
    probs /= probs.sum(-1, keepdims=True)
    return rows, probs.argmax(-1), probs.max(-1)


def chosen(workshop, **fields):
    return workshop[1].rows(RowsSpec(**fields), workshop[1].data)


def test_all_rows_are_no_choice(workshop):
    assert chosen(workshop) is None


@pytest.mark.parametrize("labels", ["visible", "withheld"])
def test_rows_by_whether_their_label_is_seen(workshop, labels):
    data = workshop[1].data
    found = chosen(workshop, labels=labels)
    seen = data.fetch(found).labels.numpy() != UNLABELLED
    assert seen.all() if labels == "visible" else not seen.any()
    both = np.concatenate([chosen(workshop, labels=name) for name in ("visible", "withheld")])
    assert sorted(both) == sorted(data.split_ids("train"))


def test_rows_by_confidence_are_those_of_the_teachers_probability(workshop, answers):
    rows, _, confidence = answers
    bound = float(np.median(confidence)) + 1e-9
    found = chosen(workshop, confidence=bound)
    assert found.tolist() == rows[confidence >= bound].tolist()
    assert 0 < len(found) < len(rows)


def test_rows_by_class_take_the_label_where_it_is_seen_and_else_the_answer(workshop, answers):
    rows, answer, _ = answers
    data = workshop[1].data
    labels = data.fetch(rows).labels.numpy()
    known = np.where(labels == UNLABELLED, answer, labels)
    wanted = [str(name) for name in np.unique(known)[:2]]
    places = [data.class_names.index(name) for name in wanted]
    found = chosen(workshop, classes=wanted)
    assert found.tolist() == rows[np.isin(known, places)].tolist()
    hidden = data.examples.labels[rows]
    assert (known != hidden).any(), "a withheld label is not looked at"


def test_choices_are_taken_together(workshop, answers):
    _, _, confidence = answers
    bound = float(np.quantile(confidence, 0.3))
    both = chosen(workshop, labels="withheld", confidence=bound)
    assert set(both) == set(chosen(workshop, labels="withheld")) & set(
        chosen(workshop, confidence=bound)
    )


def test_rows_are_chosen_without_drawing_and_without_touching_the_teacher(workshop):
    shop = workshop[1]
    state, mode = torch.random.get_rng_state(), shop.teacher.model.training
    chosen(workshop, confidence=0.1)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert shop.teacher.model.training is mode is False


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"confidence": 0.999}, "none of the 208 training rows is left with {'confidence': 0.999}"),
        ({"classes": ["zebra"]}, "has no class 'zebra'.*Classes: 0, 1, 2"),
        ({"classes": [""]}, "has no class ''"),
    ],
)
def test_a_choice_that_cannot_be_is_refused_in_words(workshop, fields, words):
    with pytest.raises(BadData, match=words):
        chosen(workshop, **fields)


@pytest.mark.parametrize(
    ("teacher", "words"),
    [
        ({"use": "cnn-small", "width": 4}, "not trained yet, and a run cannot wait"),
        ({"use": "cnn-small", "width": 5, "train": {"steps": 20}}, "not trained yet"),
        ("timm/test_resnet", "not trained yet"),
    ],
)
def test_a_teacher_that_was_not_trained_cannot_take_over(workshop, teacher, words):
    spec, shop = workshop
    with pytest.raises(BadModel, match=words):
        shop.with_teacher(spec.replace({"teacher": teacher}))


def test_a_trained_teacher_takes_over_from_the_cache_or_from_a_run(train, workshop):
    spec, shop = workshop
    again = shop.with_teacher(spec)
    assert again.teacher.weights == shop.teacher.weights
    other = train({"seed": 1})
    swapped = shop.with_teacher(spec.replace({"teacher": f"run:{other.run}@last"}))
    assert swapped.teacher.weights == other.weights
    assert not any(p.requires_grad for p in swapped.teacher.model.parameters())


def test_a_teacher_that_has_learned_the_test_rows_is_refused(train, workshop):
    spec, shop = workshop
    other = train({"data.split_seed": 5, "teacher.train.steps": 1, f"{MAIN}.steps": 1})
    with pytest.raises(BadModel, match=r"was trained on .* of this run's .* test rows"):
        shop.with_teacher(spec.replace({"teacher": f"run:{other.run}@last"}))


def test_data_may_be_shown_otherwise_but_not_split_otherwise(workshop):
    spec, shop = workshop
    more = shop.data_of(spec.replace({"data.labels_per_class": 6}))
    assert len(more.visible_ids) > len(shop.data.visible_ids)
    assert set(shop.data.visible_ids) <= set(more.visible_ids)
    with pytest.raises(BadData, match="changes the data's splits"):
        shop.data_of(spec.replace({"data.split_seed": 3}))


def test_where_images_vary_nothing_is_looked_up(workshop):
    spec, shop = workshop
    assert not shop.target(spec, shop.data, []).draws
    varied = spec.replace({"data.augment": "shift"})
    assert shop.target(varied, shop.data_of(varied), []).draws


def test_a_control_asks_no_teacher_but_knows_its_rows(workshop, answers):
    spec, shop = workshop
    alone = shop.without_teacher()
    assert alone.model_or_none is None
    bound = float(np.median(answers[2]))
    ours, theirs = (which.rows(RowsSpec(confidence=bound), which.data) for which in (shop, alone))
    assert ours.tolist() == theirs.tolist()
    assert shop.target_knobs(spec) == {}
