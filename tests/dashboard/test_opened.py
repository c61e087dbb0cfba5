"""What is open on the page of a run: read from an address, refused in words, opened by its link."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from workbench_widgets import curves
from workbench_widgets.frame import Frame

from workbench.dashboard.address import Place
from workbench.dashboard.live import Sent, pack
from workbench.dashboard.opened import settle_opened
from workbench.dashboard.toggles import settle_toggles

PROBE = {3, 17, 40}


def opened(*asked: tuple[str, str], samples: set[int] | None = PROBE) -> dict:
    return settle_opened(asked, steps=100, samples=samples, people=["ada", "bo"])


def test_an_address_holds_what_is_open_and_is_read_back():
    asked = (("tab", "curves"), ("cell", "teacher"), ("sample", "17"), ("range", "20-60"))
    place = Place("demo-1", 120, toggles=(("cka", "i:2"),), opened=asked)
    said = "cka=i:2&tab=curves&cell=teacher&sample=17&range=20-60"
    assert place.address == f"/?run=demo-1&step=120&{said}"
    arguments = {"run": [b"demo-1"], "step": [b"120"], "cka": [b"i:2"], "lower": [b""]}
    arguments |= {name: [text.encode()] for name, text in asked}
    assert Place.read(arguments) == place


def test_what_the_run_has_is_opened():
    asked = [("lower", "result"), ("cell", "neither"), ("sample", "17"), ("range", "0-100")]
    found = {"lower": "result", "cell": "neither", "sample": 17, "range": [0, 100]}
    assert opened(*asked) == {"open": found, "words": ""}
    asked = [("journal", "notes"), ("author", "bo"), ("find", "T = 2"), ("rail", "open")]
    asked += [("method", "saliency"), ("target", "student")]
    assert opened(*asked) == {"open": dict(asked), "words": ""}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("tab", "journal", "`tab=journal` in the address .* Allowed: views, curves"),
        ("lower", "<b>", "Allowed: samples, result"),
        ("cell", "selected", "Allowed: both, teacher, student, neither"),
        ("journal", "open", "Allowed: all, changes, notes, run"),
        ("author", "eve", "Allowed: ada, bo"),
        ("find", "9" * 61, "`find=9{40}…` in the address cannot be opened. Allowed: 60 letters"),
        ("rail", "1", "Allowed: open"),
        ("method", "guess", "Allowed: integrated_gradients, saliency, occlusion"),
        ("target", "4", "Allowed: label, student, teacher"),
        ("sample", "4", "a sample of the probe split, 3 of them"),
        ("sample", "-3", "a sample of the probe split"),
        ("range", "60-20", "FROM-TO, two steps from 0 to 100"),
        ("range", "101-120", "FROM-TO"),
        ("range", "9" * 400, "`range=9{40}…` in the address"),
    ],
)
def test_what_it_has_not_is_refused_in_words_and_takes_no_other_along(name, text, said):
    other = "tab" if name != "tab" else "lower"
    value = {"tab": "curves", "lower": "result"}[other]
    settled = opened((name, text), (other, value))
    assert settled["open"] == {other: value}
    assert re.search(said, settled["words"])


def test_before_the_first_snapshot_any_sample_is_kept():
    assert opened(("sample", "4"), samples=None) == {"open": {"sample": 4}, "words": ""}


def similarity() -> dict[str, Sent]:
    """A map of three by two layers, and curves that wait."""
    cursor = {"x": {"state": "j", "count": 2}, "y": {"state": "i", "count": 3}}
    frame = Frame(*("cka", 40, "", (), (), "", ""), cursor=cursor)
    waits = curves.frame({}, {"steps_total": 100})
    return {"cka": Sent(40, pack(frame)), "curves": Sent(waits.step, pack(waits))}


def test_a_cell_of_the_map_is_a_toggle_as_far_as_the_map_has_it():
    asked = [("cka", "i:2,j:2")]
    settled = settle_toggles(asked, similarity())
    assert settled["views"] == {"cka": {"i": "2"}}
    assert "`cka=j:2` in the address" in settled["words"]
    assert "`j` may be 0, 1" in settled["words"]


def test_the_change_over_a_range_needs_the_range():
    asked = [("cka", "since:range")]
    assert settle_toggles(asked, similarity(), ranged=True)["views"] == {"cka": {"since": "range"}}
    alone = settle_toggles(asked, similarity())
    assert alone["views"] == {}
    assert "`cka=since:range` in the address" in alone["words"]


@pytest.mark.browser
def test_a_link_opens_tab_card_cell_and_sample_and_back_closes_them(finished, served, page):
    start = f"{served.url}/?run={finished.run}"
    page.set_viewport_size({"width": 1024, "height": 768})
    page.goto(f"{start}&cell=everybody")
    told = page.get_by_role("status").filter(has_text="`cell=everybody` in the address")
    expect(told).to_contain_text("Allowed: both, teacher, student, neither.")
    expect(page).to_have_url(start)  # what is refused goes
    page.get_by_role("tab", name="Curves, samples, result").click()
    expect(told).to_have_count(0)
    page.get_by_role("tab", name="Samples", exact=True).click()
    expect(page).to_have_url(f"{start}&tab=curves&lower=samples")
    inspector = page.locator("#samples")
    inspector.locator('[data-cell="both"]').click()
    inspector.locator('[data-pick="sample"]').nth(2).click()
    sample = inspector.locator('[aria-current="true"]').get_attribute("data-id")
    link = f"{start}&tab=curves&lower=samples&cell=both&sample={sample}"
    expect(page).to_have_url(link)

    page.goto(link)
    expect(inspector.locator('[aria-current="true"]')).to_have_attribute("data-id", sample)
    expect(inspector.locator('[data-cell="both"]')).to_have_attribute("aria-pressed", "true")
    narrow = page.get_by_role("tab", name="Curves, samples, result")
    expect(narrow).to_have_attribute("aria-selected", "true")
    expect(page).to_have_url(link)
    page.locator('[data-view="curves"]').focus()
    slider = page.get_by_role("slider", name="Snapshot")
    slider.focus()
    page.keyboard.press("ArrowLeft")  # a place: an entry of the history
    page.wait_for_url("**&step=*")
    page.get_by_role("tab", name="Result", exact=True).click()
    page.get_by_role("tab", name="Four views").click()
    expect(page).to_have_url(re.compile(f"&step=[0-9]+&cell=both&sample={sample}$"))
    page.go_back()
    expect(page).to_have_url(link)
    expect(narrow).to_have_attribute("aria-selected", "true")
    expect(inspector.locator('[aria-current="true"]')).to_be_visible()


@pytest.mark.browser
def test_a_link_opens_the_journal_the_rail_and_the_question_of_the_maps(finished, served, page):
    start = f"{served.url}/?run={finished.run}"
    page.set_viewport_size({"width": 1024, "height": 768})
    page.goto(f"{start}&journal=everything&tab=curves&lower=samples")
    told = page.get_by_role("status").filter(has_text="`journal=everything` in the address")
    expect(told).to_contain_text("Allowed: all, changes, notes, run.")
    method = page.get_by_role("combobox", name="Method of attribution")
    method.select_option("saliency")
    page.get_by_role("combobox", name="Class that both models are asked about").select_option(
        "student"
    )
    asked = f"{start}&tab=curves&lower=samples&method=saliency&target=student"
    expect(page).to_have_url(asked)
    expect(told).to_have_count(0)
    page.get_by_role("button", name="Open the experiment").click()
    expect(page).to_have_url(asked.replace("&method", "&rail=open&method"))
    page.get_by_role("button", name="open ↗").click()
    drawer = page.get_by_role("dialog", name="Journal")
    drawer.get_by_role("button", name="run", exact=True).click()
    drawer.get_by_role("searchbox").fill("finished")
    shown = "&journal=run&find=finished&rail=open"
    link = asked.replace("&method", f"{shown}&method")
    expect(page).to_have_url(link)

    page.goto(link)
    expect(drawer.locator(".event")).to_have_count(1)
    expect(drawer.get_by_role("button", name="run")).to_have_attribute("aria-pressed", "true")
    close = page.get_by_role("button", name="Close the experiment")
    expect(close).to_be_visible()
    expect(method).to_have_value("saliency")
    expect(page.get_by_role("button", name="Show where both look")).to_be_visible()
    expect(page).to_have_url(link)
    page.set_viewport_size({"width": 1440, "height": 900})  # here the rail is a column
    expect(page).to_have_url(link.replace("&rail=open", ""))
    page.get_by_role("slider", name="Snapshot").press("ArrowLeft")  # an entry of the history
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(page).to_have_url(re.compile("&lower=samples&method=saliency&target=student$"))
    page.go_back()
    expect(drawer.locator(".event")).to_have_count(1)
