"""Looking back in a real browser: drag, keys, links, Back, and a run that goes on meanwhile."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import Browser, Page, expect

from workbench.store import Store
from workbench.training.journal import Event

from .conftest import copied

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAST = ("cka", "trilateral", "calibration", "loyalty")
PATH = "stages.main.terms.kd.temperature"


def slider(page: Page):
    return page.get_by_role("slider", name="Snapshot")


def see(page: Page, step: int) -> None:
    """All four views show a step."""
    for view in PAST:
        expect(page.locator(f'[data-view="{view}"]')).to_have_attribute("data-step", str(step))


def spoken(page: Page) -> list[str]:
    """What each view says of itself to those who do not see it: its numbers included."""
    return [str(page.locator(f'[data-view="{v}"]').get_attribute("aria-label")) for v in PAST]


def place(page: Page, share: float) -> tuple[float, float]:
    box = page.locator(".track .room").bounding_box()
    assert box is not None
    return box["x"] + share * box["width"], box["y"] + 34


@pytest.fixture(scope="module")
def marked(finished, tmp_path_factory):
    """The finished run with two changes in its journal: a store of its own, and the steps."""
    store = Store(str(copied(finished, tmp_path_factory.mktemp("marked") / "store")))
    steps = store.snapshot_steps(finished.run)
    for at, before, after in ((steps[3] + 1, 4.0, 2.0), (steps[8], 2.0, 3.0)):
        payload = {"path": PATH, "before": before, "after": after, "set": {PATH: after}}
        store.journal.write(finished.run, Event(at, "set", "ada", payload))
    yield store, finished.run, steps
    store.close()


@pytest.fixture(scope="module")
def served(marked, lasting_servers):
    """One server on that store."""
    return lasting_servers.start(marked[0].path)


@pytest.fixture
def looked_at(marked, served, page):
    """A page on that run, drawn; its address, and the steps of its snapshots."""
    _, run, steps = marked
    page.goto(f"{served.url}/?run={run}")
    see(page, steps[-1])
    return f"{served.url}/?run={run}", steps


def test_a_drag_takes_all_views_the_pull_the_curves_and_the_address_along(looked_at, page):
    address, steps = looked_at
    expect(page.get_by_text("Last snapshot")).to_be_visible()
    page.mouse.move(*place(page, 0.95))
    page.mouse.down()
    page.mouse.move(*place(page, 0.5), steps=4)
    page.mouse.move(*place(page, steps[2] / steps[-1]), steps=4)
    see(page, steps[2])
    page.mouse.up()
    expect(page).to_have_url(f"{address}&step={steps[2]}")
    expect(slider(page)).to_have_attribute(
        "aria-valuetext", f"step {steps[2]}, snapshot 3 of {len(steps)}"
    )
    banner = f"You see step {steps[2]} of {steps[-1]}; the run is done."
    expect(page.get_by_text(banner)).to_be_visible()
    expect(page.get_by_text(re.compile(rf"training samples.* step {steps[2]}$"))).to_be_visible()
    here = page.locator('[data-view="curves"] .wb-here')
    expect(here).to_have_attribute("data-at", str(steps[2]))
    expect(page.locator('[data-view="curves"]')).to_have_attribute("data-step", str(steps[-1]))
    page.go_back()
    see(page, steps[-1])
    expect(here).to_be_hidden()
    expect(page, "one drag is one entry, whatever it passed over").to_have_url(address)
    page.go_forward()
    see(page, steps[2])
    page.get_by_role("button", name="Back to live").click()
    see(page, steps[-1])
    expect(page).to_have_url(address)
    expect(page.get_by_text("Last snapshot")).to_be_visible()


def test_keys_step_through_snapshots_and_marks(looked_at, page):
    address, steps = looked_at
    slider(page).focus()
    for key, index in (
        ("ArrowLeft", -2), ("ArrowLeft", -3), ("ArrowRight", -2), ("Shift+ArrowLeft", 8),
        ("Shift+ArrowLeft", 3), ("Shift+ArrowLeft", 3), ("Shift+ArrowRight", 8), ("Home", 0),
        ("ArrowLeft", 0), ("End", -1), ("ArrowLeft", -2), ("l", -1),
    ):  # fmt: skip
        page.keyboard.press(key)
        see(page, steps[index])
        live = steps[index] == steps[-1]
        expect(page, key).to_have_url(address if live else f"{address}&step={steps[index]}")


def test_space_plays_every_snapshot_to_the_end_at_ten_a_second(looked_at, page):
    _, steps = looked_at
    page.emulate_media(reduced_motion="reduce")
    slider(page).focus()
    page.keyboard.press("Home")
    see(page, steps[0])
    page.locator('[data-view="loyalty"]').evaluate(
        """view => { globalThis.seen = [view.dataset.step]; new MutationObserver(() =>
          seen.at(-1) !== view.dataset.step && seen.push(view.dataset.step))
          .observe(view, { attributeFilter: ["data-step"] }); }"""
    )
    began = time.monotonic()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Stop playing")).to_be_visible()
    see(page, steps[-1])
    assert time.monotonic() - began >= 0.1 * (len(steps) - 1)
    assert page.evaluate("seen") == [str(step) for step in steps]
    expect(page.get_by_role("button", name="Play the snapshots")).to_be_visible()
    assert page.evaluate("document.getAnimations().length") == 0
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Stop playing")).to_be_visible()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play the snapshots")).to_be_visible()
    see(page, int(slider(page).get_attribute("aria-valuenow") or -1))


def test_a_pasted_link_opens_the_same_picture(looked_at, page, browser: Browser):
    address, steps = looked_at
    slider(page).focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    see(page, steps[1])
    context = browser.new_context(viewport={"width": 1024, "height": 768}, color_scheme="dark")
    other = context.new_page()
    other.goto(page.url)
    see(other, steps[1])
    bright = [said.replace("Dark:", "Bright:") for said in spoken(page)]
    assert [said.replace("Dark:", "Bright:") for said in spoken(other)] == bright
    assert other.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert other.evaluate("document.documentElement.scrollHeight <= innerHeight")
    expect(slider(other)).to_be_in_viewport()

    other.goto(f"{address}&step={steps[4] + 1}")
    see(other, steps[4])
    expect(other.get_by_text(f"No snapshot at step {steps[4] + 1}")).to_be_visible()
    expect(other).to_have_url(f"{address}&step={steps[4]}")
    other.goto(f"{address}&step=<b>12")
    see(other, steps[-1])
    expect(other.get_by_text("`step=<b>12` in the address is no step.")).to_be_visible()
    expect(other).to_have_url(address)
    context.close()


def test_a_page_lets_go_of_far_snapshots_and_reads_them_again(looked_at, page):
    address, steps = looked_at
    budget = 300_000  # about three snapshots

    def smaller(route):
        answer = route.fetch()
        script = answer.text()
        assert "64 * 2 ** 20" in script
        route.fulfill(response=answer, body=script.replace("64 * 2 ** 20", str(budget)))

    other = page.context.new_page()
    other.route("**/parts.js", smaller)
    other.goto(address)
    see(other, steps[-1])
    slider(other).focus()
    other.keyboard.press("Home")
    see(other, steps[0])
    expect(other.get_by_text(f"snapshot 1 of {len(steps)}")).to_be_visible()
    for step in [*steps[1:], steps[0], steps[7]]:
        x, y = place(other, step / steps[-1])
        other.mouse.click(x, y)
        see(other, step)
        held = int(other.locator("[data-held]").get_attribute("data-held") or 0)
        assert held <= budget + 110_000, "one more than fits, while it is read"


def test_the_journal_and_the_marks_lead_to_their_step(looked_at, page):
    address, steps = looked_at
    page.get_by_role("button", name="temperature: 4 → 2").first.click()
    see(page, steps[3])
    expect(page).to_have_url(f"{address}&step={steps[3]}")
    page.locator('[data-view="curves"] .annotation-text-g', has_text="2").click()
    see(page, steps[8])
    page.get_by_role("button", name="Mark 1: kd.temperature").click()
    see(page, steps[3])
    page.go_back()
    see(page, steps[8])


def test_who_looks_back_is_left_alone_while_the_run_goes_on_and_ends(servers, tmp_path, page):
    served = servers.start(tmp_path / "store" / "workbench.db")
    page.goto(served.url)
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_text("Following live")).to_be_visible()
    cka, curves = (page.locator(f'[data-view="{view}"]') for view in ("cka", "curves"))
    expect(cka).to_have_attribute("data-step", re.compile(r"^[1-9]\d*$"))
    first = int(cka.get_attribute("data-step") or 0)
    expect(cka).not_to_have_attribute("data-step", str(first))
    assert "&step" not in page.url

    slider(page).focus()
    page.keyboard.press("Home")
    see(page, 0)
    expect(page.get_by_text("You see step 0 of 450; the run goes on.")).to_be_visible()
    expect(page.get_by_text("Controls act on the live run.")).to_be_visible()
    expect(page.get_by_text("act on the live run", exact=True)).to_be_visible()
    taken = int(page.locator("[data-snapshots]").get_attribute("data-snapshots") or 0)
    at = int(curves.get_attribute("data-step") or 0)
    page.get_by_role("button", name=re.compile(r"^Slow motion: \d+ ms")).click()
    expect(page.locator('[data-status="finished"]')).to_have_count(1)
    expect(page.get_by_text("You see step 0 of 450; the run is done.")).to_be_visible()
    see(page, 0)
    assert int(page.locator("[data-snapshots]").get_attribute("data-snapshots") or 0) > taken
    assert int(curves.get_attribute("data-step") or 0) > at
    page.get_by_role("button", name="Back to live").click()
    see(page, 450)
    expect(page.get_by_text("Last snapshot")).to_be_visible()
