"""New experiment in a real browser: text, cards and forms stay one value; checks; Start."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from workbench.dashboard.new_address import NewAsked
from workbench.store import Store

pytestmark = [pytest.mark.browser, pytest.mark.slow]

KD = "stages.main.terms.kd"


def edit(page: Page, path: str):
    return page.locator(f'[data-edit="{path}"]')


def loss(page: Page):
    return page.get_by_label("Loss, for example")


def checked(page: Page) -> None:
    expect(page.get_by_text("Ready.")).to_be_visible()


def test_an_address_names_the_origin_and_what_was_changed():
    asked = NewAsked.read({"new": [b"quickstart"], "set": [b"seed=3", b"loss=KD(T=2) + CE"]})
    assert asked == NewAsked("quickstart", (("seed", "3"), ("loss", "KD(T=2) + CE")))
    assert NewAsked.read({"run": [b"x"]}) is None
    assert NewAsked.read({"new": [b""]}).origin == "quickstart"


def test_text_cards_and_file_are_one_value_and_what_is_wrong_is_mended_with_a_press(served, page):
    page.goto(f"{served.url}/?new=quickstart")
    checked(page)
    heat = edit(page, f"{KD}.temperature")
    heat.fill("2")
    heat.press("Tab")
    expect(loss(page)).to_have_value("0.9 * KD(T=2) + 0.1 * CE")
    paper = page.get_by_label("The experiment as YAML")
    expect(paper).to_have_value(re.compile("temperature: 2\n"))
    expect(page).to_have_url(re.compile(r"set=loss="))

    loss(page).fill("0.9 * KD(T=2) + 0.5 * Hint(stge3 -> stage1)")
    tap = page.locator("div").filter(has=edit(page, "stages.main.terms.hint.teacher_tap")).last
    fix = tap.get_by_role("button", name="Use stage3")  # at the field, and among the checks
    expect(page.get_by_role("button", name="Use stage3")).to_have_count(2)
    start = page.get_by_role("button", name="Start", exact=True)
    expect(start).to_be_disabled()
    expect(page.get_by_text("Off: 1 check failed. Mend it first.")).to_be_visible()
    fix.click()
    expect(edit(page, "stages.main.terms.hint.teacher_tap")).to_have_value("stage3")
    checked(page)

    loss(page).fill("0.9 * KD(T=2) + Hnt")
    expect(page.locator(".squiggle")).to_have_text("Hnt")
    page.get_by_role("button", name="Use hint").first.click()
    expect(loss(page)).to_have_value("0.9 * KD(T=2) + HINT")

    painted = page.locator(".paper pre")
    expect(painted.locator(".num", has_text=re.compile("^ *2$")).first).to_be_visible()
    expect(painted.locator(".student")).to_have_text(" cnn-tiny")
    expect(painted.locator(".key").first).to_have_text("name")
    paper.press("Control+Home")
    paper.press_sequentially("# why\n")
    expect(painted.locator(".note")).to_have_text("# why")
    while paper.input_value().startswith("#"):  # undo in the text, letter by letter or as one
        paper.press("Control+z")
    expect(painted.locator(".note")).to_have_count(0)
    paper.fill(paper.input_value().replace("temperature: 2", "temperature: 7"))
    expect(heat).to_have_value("7")
    paper.fill("name: [")
    expect(page.get_by_role("alert").filter(has_text="not valid YAML")).to_be_visible()
    expect(paper).to_have_value("name: [")
    expect(heat).to_have_value("7")
    page.get_by_role("button", name="Reset").click()
    expect(loss(page)).to_have_value("0.9 * KD(T=4) + 0.1 * CE")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("not valid YAML").first).to_be_visible()


def test_a_pasted_address_opens_the_same_and_start_lands_on_the_run(quiet_end, page):
    served = quiet_end()
    text = quote("KD(T=3) + 0.2 * CE")
    page.goto(f"{served.url}/?new=quickstart&set=teacher.train.epochs=2&set=loss={text}")
    expect(loss(page)).to_have_value("KD(T=3) + 0.2 * CE")
    expect(edit(page, "teacher.train.epochs")).to_have_value("2")
    page.get_by_role("button", name="+ Add a term").click()
    page.get_by_label("Search a term").fill("dkd")
    page.locator('[data-add="dkd"]').click()
    expect(loss(page)).to_have_value("KD(T=3) + 0.2 * CE + DKD")
    page.get_by_role("button", name="Remove dkd").click()
    page.get_by_label("Field of the sweep").select_option(f"{KD}.temperature")
    values = page.get_by_role("textbox", name="Sweep")
    values.fill("3, 5, 5")
    values.press("Enter")
    expect(page.get_by_text("Off:").first).to_be_visible()
    values.fill("3, 5")
    values.press("Enter")
    expect(page.get_by_text("2 runs, one after the other")).to_be_visible()
    checked(page)
    # Typed and pressed at once: the text still goes out, is checked, and then it starts.
    loss(page).fill("KD(T=3) + 0.3 * CE")
    page.get_by_role("button", name="Start", exact=True).click()
    page.wait_for_url("**compare=*")
    expect(page.locator("tr").filter(has_text="temperature 5").first).to_be_visible()
    run = page.url.split("compare=")[1].split(",")[0]
    store = Store(str(served.store))
    rows = store.runs.cohort(run)
    terms = [row.experiment["stages"]["main"]["terms"] for row in rows]
    store.close()
    assert [one["kd"]["temperature"] for one in terms] == [3, 5]
    assert all(one["ce"] == {"use": "ce", "weight": 0.3} for one in terms)


def test_a_stage_more_is_edited_on_its_own_and_goes_again(served, page):
    page.goto(f"{served.url}/?new=quickstart")
    page.get_by_role("button", name="Stage", exact=True).click()
    expect(page.get_by_role("heading", name="Loss of stage prepare")).to_be_visible()
    edit(page, "stages.prepare.epochs").fill("2")
    edit(page, "stages.prepare.epochs").press("Enter")
    expect(page.locator(".stage-card.chosen")).to_contain_text("2 epochs, batch 64")
    name = page.get_by_label("Name of stage 1")
    name.fill("warm-up")
    name.press("Enter")
    page.get_by_role("button", name="main", exact=True).press("Enter")
    expect(page.locator(".stage-card.chosen")).to_contain_text("begins with the weights of warm-up")
    expect(edit(page, "stages.main.epochs")).to_have_value("30")
    expect(page.get_by_role("heading", name="Loss of stage main")).to_be_visible()
    checked(page)
    page.reload()
    expect(page.locator(".stage-card")).to_have_count(2)
    page.get_by_role("button", name="Remove stage warm-up").click()
    expect(page.locator(".stage-card")).to_have_count(0)
    expect(page.get_by_role("button", name="Reset")).to_be_disabled()


def test_a_fold_stays_as_the_reader_left_it_and_opens_where_a_field_is_wrong(served, page):
    """Each edit draws the form anew; a folder's path is asked for among the options of data."""
    page.goto(f"{served.url}/?new=quickstart")
    options = page.locator('[data-key="student-options"]')
    options.get_by_text("Options").click()
    width = options.locator('input[type="text"][data-edit="student.width"]')
    width.fill("6")
    width.press("Enter")
    expect(page.get_by_text("1 field changed")).to_be_visible()
    expect(width).to_be_visible()
    expect(edit(page, "data.augment")).not_to_be_visible()
    edit(page, "data.use").select_option("folder")
    expect(edit(page, "data.path")).to_be_visible()
    expect(edit(page, "data.channels")).to_have_value("3")  # a choice of numbers
    expect(width).to_be_visible()
