"""Compare as a reader uses it, in a real browser, against a real server."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from ..runs.written import Written

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TEMPERATURE = "stages.main.terms.kd.temperature"
HOT = {TEMPERATURE: 8.0}


@pytest.fixture
def written(tmp_path):
    made = Written(tmp_path)
    yield made
    made.store.close()


def test_runs_are_ticked_compared_brought_out_and_found_again(written, servers, page):
    base = [written.run(0.5, seed=seed, control=0.3) for seed in (0, 1, 2)]
    hot = [written.run(0.52 + seed / 100, seed=seed, changes=HOT) for seed in (0, 1, 2)]
    fork = written.run(0.6, changes={TEMPERATURE: 1.0}, parent=base[0], forked_at=20)
    served = servers.start(written.store.path)
    page.goto(served.url)
    for run in (base[0], hot[0]):
        page.locator(f'input[data-chosen="{run}"]').check()
    page.get_by_role("link", name="Compare 2 runs").click()
    expect(page.locator("[data-compare]")).to_have_attribute("data-compare", "2")

    runs = ",".join([*base, *hot, fork])
    page.goto(f"{served.url}/?compare={runs}")
    rows = page.locator('[data-table="settings"] [data-setting]')
    expect(rows).to_have_count(3)
    row = page.locator(f'[data-setting="{hot[0]}"]')
    seeds = row.locator("[data-seed]").evaluate_all("dots => dots.map(dot => dot.dataset.seed)")
    assert seeds == ["0", "1", "2"]
    expect(row).to_have_attribute("aria-selected", "true")
    expect(row).to_contain_text("+3.00")
    expect(page.locator(f'[data-setting="{fork}"]')).to_contain_text("too few for an interval")
    expect(page.locator(f'[data-run-line="{fork}"]')).to_have_attribute("data-parent", base[0])
    expect(page.locator('[data-table="paths"]')).to_contain_text(TEMPERATURE)
    expect(page.locator('[data-cell="both"]')).to_contain_text("8")

    page.get_by_label("Against").select_option(f"{base[0]}-control")
    expect(rows).to_have_count(4)
    expect(row).to_contain_text("+23.00")
    page.locator(f'[data-setting="{fork}"] .name b').click()
    expect(page.locator(f'[data-setting="{fork}"]')).to_have_attribute("aria-selected", "true")
    expect(page.locator(f'path.stroke.focus[data-curve="{fork}"]')).to_have_count(1)
    assert page.url == f"{served.url}/?compare={runs}&against={base[0]}-control&focus={fork}"
    page.reload()
    expect(page.locator(f'[data-setting="{fork}"]')).to_have_attribute("aria-selected", "true")
    expect(row).to_contain_text("+23.00")

    for mode in ("share", "epoch", "step"):
        page.locator(f'[data-mode="{mode}"]').click()
        expect(page.locator("[data-x]")).to_have_attribute("data-x", mode)
    page.get_by_role("button", name="seeds", exact=True).click()
    expect(page).to_have_url(re.compile("&lines=seeds$"))
    page.reload()
    for run in hot:
        expect(page.locator(f'[data-curve="{run}"]')).to_have_count(1)
    page.get_by_role("button", name="Dark theme").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    for width in (1440, 1024):
        page.set_viewport_size({"width": width, "height": 768})
        page.wait_for_function(f"innerWidth === {width}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_run_that_moves_is_drawn_anew_one_is_added_and_an_empty_page_has_a_way_on(
    written, servers, page
):
    base = written.run(0.5)
    run = written.run(0.6, changes=HOT, steps=[0, 10, 20], status="interrupted")
    served = servers.start(written.store.path)
    page.goto(f"{served.url}/?compare={base},{run},nothing-here")
    expect(page.get_by_role("alert")).to_contain_text("No run 'nothing-here'")
    row = page.locator(f'[data-setting="{run}"]')
    expect(row).to_contain_text("Interrupted at step 20")
    written.store.runs.update(run, step=40)
    expect(row).to_contain_text("Interrupted at step 40")
    export = page.get_by_role("button", name="Export", exact=True)
    export.click()
    expect(page.get_by_text("Script (.py): once all runs have finished")).to_be_visible()
    page.keyboard.press("Escape")

    other = written.run(0.7, changes={TEMPERATURE: 1.0})
    page.reload()
    page.get_by_label("Add").select_option(other)
    expect(page.locator(f'[data-setting="{other}"]')).to_contain_text("+20.00")
    assert page.url == f"{served.url}/?compare={base},{run},{other}"
    page.get_by_role("link", name="Take small, kd.temperature 8 away").click()
    expect(page.locator("[data-compare]")).to_have_attribute("data-compare", "2")
    expect(row).to_have_count(0)
    export.click()
    script = page.get_by_role("link", name="Script (.py): trains all again")
    asked = f"compare={base},{other}&against={base}&measure=test-accuracy&to=script"
    expect(script).to_have_attribute("href", f"export?{asked}")
    page.keyboard.press("Escape")

    page.get_by_role("link", name="Compare", exact=True).click()
    page.get_by_role("link", name="Choose runs").click()
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_visible()
