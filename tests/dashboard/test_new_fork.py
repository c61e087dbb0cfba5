"""A fork is written on New experiment: as the parent stood at the step, changed where it can be."""

from __future__ import annotations

import re
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from workbench.dashboard.new_address import NewAsked, address_of
from workbench.dashboard.new_fork import ForkAsked, Forking
from workbench.dashboard.new_page import new_page
from workbench.errors import BadInput
from workbench.runs.draft import Draft
from workbench.runs.draft.stages import add_stage, pick_stage
from workbench.specs.files import parse_scalar
from workbench.store import Store

from ..runs.written import Written
from ..waiting import until
from .conftest import copied

KD = "stages.main.terms.kd"


@pytest.fixture
def written(tmp_path):
    made = Written(tmp_path)
    yield made
    made.store.close()


def again(address: str) -> NewAsked:
    """What a page reads from an address."""
    query = parse_qs(urlsplit(address).query, keep_blank_values=True)
    asked = NewAsked.read({name: [v.encode() for v in found] for name, found in query.items()})
    assert asked is not None
    return asked


def test_an_address_names_run_step_and_choices():
    assert again("/?fork=a&at=12&paused=1&later=0").fork == ForkAsked("a", 12, "", True, False)
    assert again("/?fork=a").fork == ForkAsked("a")
    assert "no step" in again("/?fork=a&at=-3").fork.words
    assert again("/?new=quickstart").fork is None


def test_the_address_of_a_fork_opens_the_same_fork(written):
    run = written.run()
    written.changed(run, 5, f"{KD}.temperature", 4.0, 2.0)
    forking = Forking(written.store, ForkAsked(run, 30))
    draft = forking.draft()
    assert draft.spec.stage.terms["kd"].temperature == 2.0
    draft = forking.follow(draft.edit(f"{KD}.weight", 0.5), "fork.paused", "true")
    address = address_of(draft, forking.pairs(draft))
    loss = "0.5+*+KD(T=2)+%2B+0.1+*+CE"
    assert address == f"/?fork={run}&at=30&paused=1&set=loss={loss}"
    asked = again(address)
    there = Forking(written.store, asked.fork)
    assert there.draft().set_loss(asked.settings[0][1]).spec == draft.spec
    assert there.part(draft)["paused"]


def test_what_was_done_later_is_repeated_unless_it_broke_the_run(written):
    run = written.run()
    written.changed(run, 40, f"{KD}.temperature", 4.0, 2.0)
    part = Forking(written.store, ForkAsked(run, 30)).part(
        Forking(written.store, ForkAsked(run, 30)).draft()
    )
    assert (part["after_words"], part["later"]) == ("1 change", True)
    failed = Forking(written.store, ForkAsked(written.run(status="failed"), 10))
    assert failed.part(failed.draft())["later"] is False
    with pytest.raises(BadInput, match=r"'3\.5'.*whole number from 0 to"):
        failed.follow(failed.draft(), "fork.at", "3.5")


def test_what_is_priced_begins_at_the_checkpoint_and_is_said(written, monkeypatch):
    run = written.run(changes={"control": True, "stages.main.steps": 30})
    forking = Forking(written.store, ForkAsked(run, 20))
    draft = forking.draft()
    parts = {"prepare": 1.0, "student": 3.0, "probes": 2.0, "controls": 3.0}
    whole = {"seconds": 9.0, "step_seconds": 0.1, "disk_bytes": 900, "snapshot_bytes": 600}
    told = {"estimate": {**whole, "memory_bytes": 5, "parts": parts}}
    assert forking.priced(draft, told) == told  # without a checkpoint all is trained again
    assert forking.part(draft)["words"] == (
        "The fork trains 10 steps more, and again those before 20; time and disk are of a whole "
        "run."
    )
    kept = [SimpleNamespace(step=step) for step in (25, 15)]
    monkeypatch.setattr(written.store, "checkpoints", lambda run: kept)
    priced = forking.priced(draft, told)["estimate"]
    assert priced["seconds"] == pytest.approx(1 + 1.5 + 1 + 3)
    assert (priced["disk_bytes"], priced["memory_bytes"]) == (600, 5)
    assert forking.part(draft)["words"] == (
        "The fork trains 10 steps more. Time and disk are of what is left from step 15 on; "
        "controls train from step 0."
    )
    assert forking.priced(draft, None) is None


def test_a_page_says_which_cards_hold_what_cannot_change(written):
    run = written.run()
    forking = Forking(written.store, ForkAsked(run, 30))
    page = new_page(forking.draft(), None, undo=False, redo=False)
    assert set(page["fixed"]) == {"models", "data", "stages", "probes"}
    assert page["models"][1]["use"]["off"]
    assert not page["models"][0]["use"]["off"]
    assert not page["terms"][0]["fields"][0]["off"]
    first = Forking(written.store, ForkAsked(run, 0))
    assert new_page(first.draft(), None, undo=False, redo=False)["fixed"] == {}


def test_stages_that_came_stand_in_the_address_in_their_order():
    draft = add_stage(Draft.of_recipe("quickstart")).edit("stages.prepare.epochs", 3)
    asked = again(address_of(draft, [("new", "quickstart")]))
    assert asked.stage == "prepare"
    opened = Draft.of_recipe("quickstart")
    for path, text in asked.settings:
        opened = opened.edit(path, parse_scalar(text))
    assert list(opened.spec.stages) == ["prepare", "main"]
    assert opened.spec == draft.spec
    cards = new_page(pick_stage(draft, "main"), None, undo=False, redo=False)["stages"]
    assert [(card["name"], card["chosen"], card["start"]) for card in cards] == [
        ("prepare", False, "begins with fresh weights"),
        ("main", True, "begins with the weights of prepare"),
    ]
    assert cards[0]["facts"].startswith("3 epochs, batch 64, adamw")


@pytest.mark.browser
@pytest.mark.slow
def test_fork_opens_filled_in_is_changed_and_its_child_stands_paused(
    finished, servers, tmp_path, page: Page
):
    served = servers.start(copied(finished, tmp_path / "store"))
    store, run = Store(str(served.store)), finished.run
    page.goto(f"{served.url}/?run={run}&step=0")
    expect(page.get_by_role("button", name="Back to live")).to_be_visible()
    page.get_by_role("button", name="Fork", exact=True).click()
    page.wait_for_url(re.compile(rf"fork={run}&at=0"))  # what is shown, not where the run is
    expect(page.get_by_role("heading", name=f"Fork of {run} at step 0")).to_be_visible()
    start = page.get_by_role("button", name="Start fork")
    step = page.get_by_role("textbox", name="step", exact=True)
    step.fill(str(store.runs.get(run).steps))
    step.press("Enter")
    expect(page.get_by_text("would train nothing")).to_be_visible()
    expect(start).to_be_disabled()
    page.get_by_role("button", name="Fork at step 0").click()
    page.wait_for_url(re.compile(rf"fork={run}&at=0"))
    step.fill("12")
    step.press("Enter")
    page.wait_for_url(re.compile(rf"fork={run}&at=12"))
    expect(page.locator("output.fixed").first).to_have_text("cnn-tiny")
    expect(page.get_by_text("only a fork at step 0 can change it").first).to_be_visible()
    weight = page.locator(f'[data-edit="{KD}.weight"]')
    weight.fill("0.4")
    weight.press("Enter")
    page.get_by_role("radio", name="it stands paused").check()
    page.wait_for_url(re.compile("paused=1"))
    page.reload()  # a pasted link opens the same
    expect(weight).to_have_value("0.4")
    expect(page.get_by_role("radio", name="it stands paused")).to_be_checked()
    expect(start).to_be_enabled()
    start.click()
    page.wait_for_url(re.compile(rf"\?run=(?!{run})"))
    child = next(row.id for row in store.runs.list() if row.parent == run)
    until(lambda: store.runs.get(child).status == "paused", "the child stands paused")
    row = store.runs.get(child)
    assert (row.step, row.forked_at) == (12, 12)
    asked = store.journal.events(child)
    assert [e.payload["set"] for e in asked if e.kind == "forked"] == [{f"{KD}.weight": 0.4}]
    store.journal.send(child, "stop", who="test")
    until(lambda: not store.runs.get(child).active, "the child stops")
    store.close()
