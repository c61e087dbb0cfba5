"""Start, Runs, Models and a pair as a reader uses them, in a real browser, on a real server."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from workbench.store import Store

from .conftest import copied

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def placed(finished, lasting_servers, tmp_path_factory):
    """A server on a copy of the finished run's store: these tests add runs to it."""
    return lasting_servers.start(copied(finished, tmp_path_factory.mktemp("placed") / "store"))


def test_recipes_are_narrowed_sorted_found_again_and_opened_by_key(placed, page):
    page.goto(placed.url)
    cards = page.locator("[data-card]")
    expect(cards.first).to_be_visible()
    number = cards.count()
    assert number >= 7
    page.locator("[data-facet=modality]", has_text="Table").click()
    expect(cards).to_have_count(1)
    expect(cards.first).to_have_attribute("data-card", "tgeo-kd-table")
    assert page.url == f"{placed.url}/?modality=Table"
    page.reload()
    expect(cards).to_have_count(1)
    page.go_back()
    expect(cards).to_have_count(number)
    page.keyboard.press("/")
    expect(page.locator("[data-filter]")).to_be_focused()
    page.keyboard.type("ps-kd")
    expect(cards).to_have_count(1)
    assert page.url.endswith("?find=ps-kd")
    expect(cards.first).to_contain_text("not run here")
    expect(cards.first.get_by_role("link")).to_have_attribute("href", "?new=ps-kd")
    page.keyboard.press("Escape")
    expect(cards).to_have_count(number)
    cards.first.get_by_role("link").focus()
    page.keyboard.press("ArrowRight")
    expect(cards.nth(1).get_by_role("link")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()


def test_more_seeds_are_queued_one_is_taken_back_and_the_rest_follow(placed, finished, page):
    page.goto(f"{placed.url}/?run={finished.run}")
    page.get_by_role("button", name="Run 4 more seeds").click()
    expect(page.get_by_text("for their turn")).to_be_visible()
    page.get_by_role("button", name="Workbench, places").click()
    page.get_by_role("link", name="Runs", exact=True).click()
    expect(page.locator("[data-row]")).to_have_count(5)
    expect(page.locator(".waits")).to_contain_text("waiting")
    page.get_by_role("button", name="People").click()
    page.get_by_label("Your name in the journal").fill("Mira")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="People: Mira")).to_be_visible()
    page.get_by_role("button", name="To the front: quickstart, seed 4").click()
    expect(page.locator("[data-queued]").first).to_contain_text("seed 4")
    for seed in (4, 3, 2):
        page.get_by_role("button", name=f"Remove quickstart, seed {seed}").click()
        expect(page.locator("[data-row]")).to_have_count(seed)
    expect(page.locator("[data-row]").first).to_contain_text("Done")
    expect(page.locator(".waits")).to_have_count(0)
    store = Store(str(placed.store))
    with_seeds = store.runs.cohort(finished.run)
    assert [row.experiment.get("seed", 0) for row in with_seeds] == [0, 1]
    told = [event for event in store.journal.events(finished.run) if event.kind == "taken back"]
    assert [(event.who, event.payload["seed"]) for event in told] == [
        ("Mira", 4), ("Mira", 3), ("Mira", 2)
    ]  # fmt: skip
    page.locator(f'[data-row="{finished.run}"] input').check()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("x")
    expect(page.get_by_role("link", name="Compare 2 runs")).to_be_visible()
    assert "chosen=" in page.url
    page.get_by_role("button", name="Student").click()
    expect(page.locator("th[aria-sort]")).to_contain_text("Student ↓")
    page.go_back()
    expect(page.locator("th[aria-sort]")).to_contain_text("Accepted")
    page.get_by_label("Filter runs").fill("no such run")
    expect(page.get_by_text("No run has all that")).to_be_visible()


def test_a_finished_run_is_replayed_and_said_to_be_equal(placed, finished, page):
    page.goto(f"{placed.url}/?run={finished.run}")
    page.get_by_role("button", name="Replay bit for bit").click()
    expect(page.locator('[data-replay="equal"]')).to_contain_text("Equal bit for bit")


def test_two_kept_models_are_picked_and_looked_at_without_training(placed, finished, page):
    page.goto(f"{placed.url}/?models=")
    page.locator('[data-row^="teacher:"]').get_by_role("button", name="teacher of the pair").click()
    last = page.locator(f'[data-row="run:{finished.run}@last"]')
    last.get_by_role("button", name="student of the pair").click()
    before = len(Store(str(placed.store)).runs.list(roles=None))
    page.get_by_role("link", name="Inspect without training").click()
    expect(page.locator('[data-pair="done"]')).to_be_visible()
    for view in ("cka", "trilateral", "calibration", "loyalty"):
        expect(page.locator(f'[data-view="{view}"]')).to_be_visible()
    expect(page.locator("[data-pair]")).to_contain_text("Nothing was trained")
    assert len(Store(str(placed.store)).runs.list(roles=None)) == before
