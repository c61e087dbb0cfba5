"""Stages of a draft: a new one is valid at once, one that goes leaves nothing that names it."""

from __future__ import annotations

import pytest

from workbench.errors import BadInput
from workbench.runs.draft import Draft
from workbench.runs.draft.forms import stage_form
from workbench.runs.draft.stages import add_stage, pick_stage, remove_stage, rename_stage


@pytest.fixture
def draft() -> Draft:
    return Draft.of_recipe("quickstart")


def starts(draft: Draft) -> dict[str, str | None]:
    return {name: draft.spec.start_of(name) for name in draft.spec.stages}


def test_a_new_stage_stands_before_the_last_is_a_copy_of_it_and_valid_at_once(draft):
    more = add_stage(draft)
    assert more.spec is not None
    assert starts(more) == {"prepare": None, "main": "prepare"}
    assert more.data["stages"]["prepare"] == draft.data["stages"]["main"]
    assert more.stage == "prepare"
    assert starts(add_stage(more)) == {
        "prepare": None,
        "prepare-2": "prepare",
        "main": "prepare-2",
    }


def test_the_chosen_stage_is_what_form_and_loss_edit(draft):
    more = add_stage(draft).set_loss("KD(T=2)").edit("stages.prepare.steps", 50)
    assert (more.loss, pick_stage(more, "main").loss) == ("KD(T=2)", "0.9 * KD(T=4) + 0.1 * CE")
    paths = [field["path"] for field in stage_form(more)["fields"]]
    assert "stages.prepare.batch_size" in paths
    assert more.spec.stages["main"].steps is None
    assert more.reset().stage == "main"


def test_with_a_loss_that_cannot_be_read_no_other_stage_is_chosen(draft):
    typed = add_stage(draft).set_loss("KD +")
    with pytest.raises(BadInput, match="loss of prepare cannot be read"):
        pick_stage(typed, "main")
    with pytest.raises(BadInput, match=r"no stage 'no'.*prepare, main"):
        pick_stage(add_stage(draft), "no")


def test_what_named_a_stage_that_goes_names_what_it_came_from():
    draft = Draft.of_recipe("further-pretraining")
    assert starts(draft)["further"] == "pretrain"
    less = remove_stage(draft, "pretrain")
    assert starts(less)["further"] is None  # as pretrain did: fresh
    assert less.data["stages"]["restart"]["start"] == "fresh"
    taught = remove_stage(draft, "further")
    assert "target" not in taught.data["stages"]["restart"]
    assert all(one.spec is not None for one in (less, taught))


def test_the_last_stage_goes_too_but_not_the_only_one():
    draft = Draft.of_recipe("further-pretraining").edit("stages.restart.seed", 3)
    less = remove_stage(draft, "main")
    assert less.stage == "restart"
    assert "seed" not in less.data["stages"]["restart"]
    with pytest.raises(BadInput, match="only stage"):
        remove_stage(Draft.of_recipe("quickstart"), "main")


def test_another_name_is_told_to_who_names_it():
    draft = pick_stage(Draft.of_recipe("further-pretraining"), "further")
    renamed = rename_stage(draft, "further", "again")
    assert list(renamed.spec.stages) == ["pretrain", "again", "restart", "main"]
    assert renamed.data["stages"]["restart"]["target"]["stage"] == "again"
    assert renamed.stage == "again"
    for name in ("main", "a.b", "", "9"):
        with pytest.raises(BadInput, match="Stage name"):
            rename_stage(draft, "further", name)
