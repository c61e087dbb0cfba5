"""A run touched on its page: knobs, a refusal, undo, a fork that stands paused, export."""

from __future__ import annotations

import json
import os
import re
import signal
from typing import Any

import pytest
import yaml
from playwright.sync_api import Page, expect

from workbench.store import Store

from ..waiting import until
from .conftest import stop_all
from .test_page import press_start

pytestmark = [pytest.mark.browser, pytest.mark.slow]

KD = "stages.main.terms.kd"
TURN = """
(to) => {
  Object.defineProperty(document, "visibilityState", { value: to, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}
"""
"""What a browser does when its tab goes behind others or comes back."""


def box(page: Page, path: str):
    return page.locator(f'[data-box][data-path="{path}"]')


@pytest.fixture(scope="module")
def served(lasting_servers, tmp_path_factory):
    """One server for the runs of all tests: the first page of a server is the dear one."""
    return lasting_servers.start(tmp_path_factory.mktemp("touched") / "workbench.db")


@pytest.fixture
def started(served, page):
    """A quickstart that trains in slow motion, its store, and its changes so far."""
    run = press_start(page, served.url)
    store = Store(str(served.store))

    def changes() -> list[dict[str, Any]]:
        return [dict(e.payload) for e in store.journal.events(run) if e.kind == "set"]

    yield store, run, changes
    store.close()
    stop_all(served)


def test_a_knob_is_sent_on_enter_marked_when_confirmed_and_undone(started, page):
    _, _, changes = started
    knob = box(page, f"{KD}.temperature")
    hint = page.get_by_role("button", name="Try it: 4 → 2")
    expect(hint).to_have_count(1)
    knob.fill("2")
    knob.press("Enter")
    expect(hint).to_have_count(0)
    mark = page.locator(f'.knob[data-key="{KD}.temperature"] .mark')
    expect(mark).to_have_text("1")
    assert (changes()[0]["path"], changes()[0]["before"], changes()[0]["after"]) == (
        f"{KD}.temperature",
        4.0,
        2.0,
    )
    expect(page.locator(".loss")).to_contain_text("KD(T=2)")
    page.reload()  # whoever has seen the hint is not told again
    expect(mark).to_have_text("1")
    expect(hint).to_have_count(0)
    page.get_by_role("button", name="Undo the change").click()
    expect(mark).to_have_text("2")
    expect(knob).to_have_value("4")
    assert changes()[1]["after"] == 4.0


def test_what_is_not_allowed_is_said_under_its_knob_and_changes_nothing(started, page):
    _, _, changes = started
    knob = box(page, f"{KD}.temperature")
    knob.fill("-1")
    knob.press("Enter")
    words = page.locator(f'.knob[data-key="{KD}.temperature"] [role="alert"]')
    expect(words).to_contain_text("Must be > 0 and ≤ 100 (got -1)")
    expect(knob).to_have_value("4")
    assert changes() == []
    page.get_by_text("Freeze layers, data filter, any path").click()
    anything = page.get_by_role("combobox", name="any path")
    anything.fill("stages.main.batch_size=8")
    anything.press("Enter")
    expect(page.locator("details [role=alert]")).to_contain_text("--set stages.main.batch_size=8")


def test_after_a_refusal_the_next_change_waits_with_a_dashed_edge_until_the_worker_confirms(
    started, page
):
    store, run, _ = started
    knob, own = box(page, f"{KD}.temperature"), page.locator(f'.knob[data-key="{KD}.temperature"]')
    for _ in range(2):  # the same words refuse twice
        knob.fill("-1")
        knob.press("Enter")
        expect(own.get_by_role("alert")).to_contain_text("Must be > 0")
        expect(knob).to_have_value("4")
    worker = store.runs.get(run).pid
    os.kill(worker, signal.SIGSTOP)
    try:
        knob.fill("2")
        knob.press("Enter")
        expect(own).to_contain_text("2 at next step")
        expect(own).to_have_class(re.compile("sent"))
        expect(own.get_by_role("alert")).to_have_count(0)
    finally:
        os.kill(worker, signal.SIGCONT)
    expect(own.locator(".mark")).to_have_text("1")
    expect(own).not_to_have_class(re.compile("sent"))
    expect(knob).to_have_value("2")


def test_two_knobs_at_once_a_slider_by_key_and_a_frozen_stage_are_all_followed(started, page):
    _, _, changes = started
    for path, typed in ((f"{KD}.weight", "x0.5"), ("stages.main.optimiser.lr", "2e-3")):
        box(page, path).fill(typed)
        box(page, path).press("Enter")
    page.get_by_role("slider", name="CE weight").press("Shift+ArrowRight")
    page.get_by_text("Freeze layers, data filter, any path").click()
    page.get_by_role("checkbox", name="stage1").check()
    until(lambda: len(changes()) == 4, f"{changes()}")
    after = {change["path"]: change["after"] for change in changes()}
    assert after[f"{KD}.weight"] == 0.45
    assert after["stages.main.optimiser.lr"] == 0.002
    assert after["stages.main.terms.ce.weight"] == pytest.approx(0.2)
    assert after["stages.main.freeze"] == ["stage1"]


def test_a_fork_opens_as_a_run_that_stands_paused_and_can_be_touched_there(started, page):
    store, run, _ = started
    until(lambda: store.runs.get(run).step >= 12, "step 12")
    page.get_by_role("button", name="Fork", exact=True).click()
    page.get_by_role("radio", name="it stands paused").check()
    step = page.get_by_role("textbox", name="step", exact=True)
    step.fill("10")
    step.press("Enter")
    page.get_by_role("button", name="Start fork").click()
    page.wait_for_url(re.compile(rf"run=(?!{run})"))
    expect(page.locator('[data-status="paused"]')).to_have_count(1)
    child = next(row for row in store.runs.list() if row.parent == run)
    assert (child.step, child.forked_at) == (10, 10)
    knob = box(page, f"{KD}.weight")
    knob.fill("0.3")
    knob.press("Enter")
    until(
        lambda: any(e.kind == "set" for e in store.journal.events(child.id)),
        "a set while paused",
    )


def test_export_downloads_the_run_with_what_was_done_to_it(started, page):
    _, run, _ = started
    knob = box(page, f"{KD}.temperature")
    knob.fill("3")
    knob.press("Enter")
    expect(page.locator(f'.knob[data-key="{KD}.temperature"] .mark')).to_have_text("1")
    page.get_by_role("button", name="Export", exact=True).click()
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Experiment (.yaml)").click()
    assert waiting.value.suggested_filename == f"{run}.yaml"
    found = yaml.safe_load(waiting.value.path().read_text())
    assert found["interventions"][0]["set"] == {f"{KD}.temperature": 3}
    answer = page.request.get(f"{page.url.partition('?')[0]}export?run=../x&to=yaml")
    assert answer.status == 404
    assert json.dumps(found)


def test_a_tab_that_nobody_looks_at_is_told_nothing_and_catches_up(started, page):
    store, run, _ = started
    curves = page.locator('[data-view="curves"]')
    expect(curves).to_have_attribute("data-step", re.compile("[1-9]"))
    page.evaluate(TURN, "hidden")

    def behind() -> int:
        return store.runs.get(run).step - int(curves.get_attribute("data-step"))

    until(lambda: behind() > 20, "steps that the tab is not told")
    at = store.runs.get(run).step
    page.evaluate(TURN, "visible")
    until(lambda: int(curves.get_attribute("data-step")) >= at, "the newest step")


def test_a_killed_worker_is_said_and_resume_trains_on_from_its_checkpoint(started, page):
    store, run, _ = started
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator('[data-status="paused"]')).to_be_visible()
    page.get_by_role("button", name="Resume", exact=True).click()
    expect(page.locator('[data-status="training"]')).to_be_visible()
    kept = store.checkpoints(run)[0].step
    os.kill(store.runs.get(run).pid, signal.SIGKILL)
    expect(page.locator('[data-status="interrupted"]')).to_be_visible()
    expect(page.locator("#notice")).to_contain_text("ended at step")
    page.get_by_role("button", name="Resume", exact=True).click()
    expect(page.locator('[data-status="training"]')).to_be_visible()
    until(lambda: store.runs.get(run).step > kept + 10, "steps after the kill")
