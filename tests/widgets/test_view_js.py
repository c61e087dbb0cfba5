"""The ES module in a real browser, with a model as anywidget's or Panel's would be."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from workbench_widgets import VIEWS, Frame, plotly_js_path, selected_ids, view_esm
from workbench_widgets.fill import Surroundings, fill
from workbench_widgets.plotlyjs import plotly_js_gz
from workbench_widgets.tokens import TOKENS

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<body style="margin: 8px"><div id="room" style="width: 446px; height: 404px"></div>
<script type="module">
import module from "/view.js";
window.module = module;
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
window.decode = (buffers) => buffers.map((text) => bytes(text).buffer);
window.makeModel = (traits) => {
  const heard = {};
  const model = {
    traits, sent: [], saved: 0,
    get: (name) => traits[name],
    set(name, value) { traits[name] = value; this.fire(`change:${name}`); },
    save_changes() { this.saved++; },
    on: (name, act) => (heard[name] ??= []).push(act),
    off: (name, act) => (heard[name] = (heard[name] ?? []).filter((other) => other !== act)),
    fire: (name, ...given) => (heard[name] ?? []).forEach((act) => act(...given)),
    push(frame, buffers) {
      Object.assign(traits, { frame, buffers: decode(buffers), rev: traits.rev + 1 });
      ["frame", "buffers", "rev"].forEach((name) => this.fire(`change:${name}`));
    },
  };
  return model;
};
window.mount = (frame, buffers, more = {}) => {
  const empty = { selected: null, event: {}, theme: "light", height: 0, plotly_url: "/plotly.js" };
  window.model = makeModel({ frame, buffers: decode(buffers), rev: 1, ...empty, ...more });
  const el = document.createElement("div");
  room.replaceChildren(el);
  window.remove = module.render({ model, el });
};
window.ready = true;
</script>"""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """A loopback server of the page, the module and plotly.js."""
    files = {
        "/": ("text/html", PAGE.encode()),
        "/view.js": ("text/javascript", view_esm().encode()),
        "/plotly.js": ("text/javascript", plotly_js_path().read_bytes()),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, body = files[self.path]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet: a test's output is its claim."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def stage(page: Page, site: str) -> Page:
    page.goto(site)
    page.wait_for_function("window.ready")
    return page


def built(view: str, run: Any, **facts: Any) -> Frame:
    arrays, given = run[view]
    frame: Frame = import_module(f"workbench_widgets.{view}").frame(arrays, {**given, **facts})
    return frame


def packed(frame: Frame) -> list[Any]:
    content, buffers = frame.payload()
    return [content, [base64.b64encode(buffer).decode() for buffer in buffers]]


def mount(page: Page, frame: Frame, **traits: Any) -> None:
    page.evaluate(
        "([frame, buffers, more]) => mount(frame, buffers, more)", [*packed(frame), traits]
    )


def push(page: Page, frame: Frame) -> None:
    page.evaluate("([frame, buffers]) => model.push(frame, buffers)", packed(frame))


def drawn(page: Page, *, step: int, rev: int = 1) -> Any:
    """The view once it shows this and Plotly, for which a canvas may stand in, has followed."""
    shown = f'.wb-view[data-step="{step}"][data-rev="{rev}"]'
    return page.wait_for_selector(f"{shown}:not(:has(.wb-stood-in))")


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_draws_and_follows_a_push(stage: Page, view: str, digits_run: Any) -> None:
    mount(stage, import_module(f"workbench_widgets.{view}").frame({}, {"steps_total": 150}))
    root = drawn(stage, step=-1)
    assert root.get_attribute("data-view") == view
    assert "Waits for the first" in stage.locator(".wb-waiting").inner_text()
    push(stage, built(view, digits_run))
    drawn(stage, step=120, rev=2)
    assert stage.locator(".wb-waiting").is_hidden()
    push(stage, built(view, digits_run, step=125))
    drawn(stage, step=125, rev=3)
    assert stage.locator(".js-plotly-plot").count() == (0 if view == "loyalty" else 1)


@pytest.mark.parametrize("view", [v for v in VIEWS if v != "loyalty"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_browser_and_python_fill_a_skeleton_alike(
    stage: Page, view: str, theme: Any, digits_run: Any
) -> None:
    frame = built(view, digits_run)
    size = {"w": 446.0, "h": 404.0, "W": 380.0, "H": 280.0}
    here = fill(
        frame.skeleton,
        Surroundings(TOKENS[theme], frame.arrays, frame.facts, frame.state, size),
    )
    told = stage.evaluate(
        """([frame, buffers, tokens, size]) => {
          const arrays = module.decode(frame, decode(buffers), {});
          const { facts, state } = frame;
          const around = { tokens, arrays, facts, state, size, selected: null };
          const flat = (key, value) => ArrayBuffer.isView(value) ? Array.from(value) : value;
          return JSON.stringify(module.fill(frame.skeleton, around), flat);
        }""",
        [*packed(frame), TOKENS[theme], size],
    )
    assert_same(here, json.loads(told))


def assert_same(here: Any, there: Any, path: str = "") -> None:
    if isinstance(here, np.ndarray):
        here = [None if v is None or v != v else v for v in here.ravel().tolist()]
        there = list(np.array(there, dtype=object).ravel())
    if isinstance(here, dict):
        assert here.keys() == there.keys(), path
        for key in here:
            assert_same(here[key], there[key], f"{path}.{key}")
    elif isinstance(here, (list, tuple)):
        assert len(here) == len(there), path
        for k, (mine, other) in enumerate(zip(here, there, strict=True)):
            assert_same(mine, other, f"{path}[{k}]")
    elif isinstance(here, float) and here == here:
        assert there == pytest.approx(here, rel=1e-6, abs=1e-12), path
    else:
        assert there == (None if here != here else here), path


def test_drawing_coalesces_to_the_newest(stage: Page, digits_run: Any) -> None:
    mount(stage, built("curves", digits_run))
    drawn(stage, step=120)
    stage.evaluate(
        """() => { window.draws = 0; const react = Plotly.react;
          Plotly.react = (...given) => { draws++; return react(...given); }; }"""
    )
    frames = [packed(built("curves", digits_run, step=step)) for step in range(121, 141)]
    stage.evaluate("(frames) => frames.forEach(([f, b]) => model.push(f, b))", frames)
    drawn(stage, step=140, rev=21)
    assert stage.evaluate("draws") <= 3


def test_unchanged_arrays_keep_their_identity(stage: Page, digits_run: Any) -> None:
    frame = built("calibration", digits_run)
    kept = stage.evaluate(
        """([frame, buffers]) => {
          const before = module.decode(frame, decode(buffers), {});
          const changed = decode(buffers);
          new Float32Array(changed[0])[0] += 1;
          const after = module.decode(frame, changed, before);
          return Object.keys(after).filter((name) => after[name] !== before[name]);
        }""",
        packed(frame),
    )
    assert kept == [next(iter(frame.arrays))]


def test_half_an_update_is_not_drawn(stage: Page, digits_run: Any) -> None:
    """Panel may deliver frame and buffers one after the other."""
    mount(stage, built("cka", digits_run))
    drawn(stage, step=120)
    content, buffers = packed(built("cka", digits_run, step=125))
    stage.evaluate(
        "(frame) => { model.traits.buffers = []; model.set('frame', frame); model.set('rev', 2); }",
        content,
    )
    stage.evaluate(
        "() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))"
    )
    assert stage.locator('.wb-view[data-step="120"]').count() == 1
    stage.evaluate("(buffers) => model.set('buffers', decode(buffers))", buffers)
    drawn(stage, step=125, rev=2)


def test_ranges_grow_at_once_and_shrink_late(stage: Page) -> None:
    got = stage.evaluate(
        """() => {
          const { hold } = module.rangeKeeper();
          const ranges = [hold("a", [0, 10], true), hold("a", [-2, 4], true)];
          for (let k = 0; k < 20; k++) ranges.push(hold("a", [0, 2], true));
          ranges.push(hold("a", [0, 2], true));
          return ranges;
        }"""
    )
    assert got[:2] == [[0, 10], [-2, 10]]
    assert got[2:22] == [[-2, 10]] * 20
    assert got[22] == [0, 2]


def test_a_toggle_changes_what_is_drawn(stage: Page, digits_run: Any) -> None:
    mount(stage, built("cka", digits_run))
    drawn(stage, step=120)
    stage.get_by_role("button", name="Δ", exact=True).click()
    note = stage.locator(".wb-note")
    note.wait_for()
    assert note.inner_text() == "Δ since step 5; Dark: a large change."
    assert stage.get_by_role("button", name="Δ", exact=True).get_attribute("aria-pressed") == "true"


def test_toggles_are_told_and_where_they_are_given_the_view_begins(
    stage: Page, digits_run: Any
) -> None:
    given = {"mode": "change", "of": "another frame", "since": "99"}
    mount(stage, built("cka", digits_run), toggles=given)
    drawn(stage, step=120)
    now, change = (stage.get_by_role("button", name=name, exact=True) for name in ("now", "Δ"))
    assert change.get_attribute("aria-pressed") == "true"
    now.click()  # as it was first: left out; what this frame has not stays for one that has
    told = "model.traits.toggles"
    assert stage.evaluate(told) == {"of": "another frame", "since": "99"}
    assert stage.evaluate("model.saved") == 1
    stage.locator(".wb-view").focus()
    stage.keyboard.press("ArrowLeft")  # the chosen cell's column, too
    assert stage.evaluate(told) == {"of": "another frame", "since": "99", "j": 0}
    stage.keyboard.press("ArrowRight")
    assert stage.evaluate(told) == {"of": "another frame", "since": "99"}
    change.click()
    assert stage.evaluate(told)["mode"] == "change"
    stage.evaluate("model.set('toggles', {})")  # somebody else turns it back
    stage.wait_for_function("document.querySelector('[aria-pressed=true]').textContent === 'now'")


def test_a_chosen_mark_stays_that_mark_while_newer_ones_come(stage: Page, digits_run: Any) -> None:
    arrays, _ = digits_run["cka"]
    steps = [int(step) for step in arrays["steps"]]
    marks = [{"step": step, "number": k + 1} for k, step in enumerate(steps[:2])]
    mount(stage, built("cka", digits_run, marks=marks), toggles={"mode": "change"})
    drawn(stage, step=120)
    chosen = stage.get_by_role("group", name="since").get_by_role("button", name="2", exact=True)
    chosen.click()
    assert stage.evaluate("model.traits.toggles") == {"mode": "change", "since": "mark-2"}
    note = stage.locator(".wb-note")
    text = note.inner_text()
    assert f"step {steps[1]};" in text
    newer = [{"step": step, "number": k + 3} for k, step in enumerate(steps[2:6])]
    push(stage, built("cka", digits_run, marks=[*marks, *newer]))  # mark 1 gives way
    drawn(stage, step=120, rev=2)
    assert chosen.get_attribute("aria-pressed") == "true"
    assert note.inner_text() == text


def test_arrows_move_the_chosen_cell_and_p_proposes_it(stage: Page, digits_run: Any) -> None:
    mount(stage, built("cka", digits_run), pairing=True)
    drawn(stage, step=120)
    heading = stage.locator(".annotation-text", has_text="over training")
    assert "hidden3 × hidden2" in heading.text_content().replace("\xa0", " ")
    stage.locator(".wb-view").focus()
    stage.keyboard.press("ArrowUp")
    stage.keyboard.press("ArrowRight")
    stage.locator(".annotation-text", has_text="probs × probs").wait_for()
    stage.keyboard.press("p")
    event = stage.evaluate("model.traits.event")
    assert event == {"kind": "pair", "x": 2, "y": 3, "count": 1}


def test_a_reopened_notebook_tells_the_same_press_as_another(stage: Page, digits_run: Any) -> None:
    before = {"kind": "pair", "x": 1, "y": 2, "count": 3}
    mount(stage, built("cka", digits_run), pairing=True, event=before)
    drawn(stage, step=120)
    stage.locator(".wb-view").focus()
    stage.keyboard.press("p")
    assert stage.evaluate("model.traits.event") == {**before, "count": 4}, "equal ones are not sent"


def test_a_pair_is_not_offered_where_nobody_hears_of_it(stage: Page, digits_run: Any) -> None:
    mount(stage, built("cka", digits_run))
    drawn(stage, step=120)
    assert stage.locator(".annotation-text", has_text="[P]").count() == 0
    stage.locator(".wb-view").focus()
    stage.keyboard.press("p")
    label = stage.locator(".ytick text", has_text="hidden1").bounding_box()
    assert label is not None
    stage.mouse.move(label["x"] + 5, label["y"] + 5)
    assert stage.locator(".wb-grab").count() == 0
    assert stage.evaluate("model.traits.event") == {}
    mount(stage, built("cka", digits_run), pairing=True)
    stage.locator(".annotation-text", has_text="[P]").wait_for()


def test_a_low_card_has_no_history_and_asks_for_no_click(stage: Page, digits_run: Any) -> None:
    mount(stage, built("cka", digits_run))
    drawn(stage, step=120)
    read = stage.locator(".wb-read")
    assert read.inner_text().endswith("Click for history.")
    stage.evaluate("model.set('height', 300)")
    stage.wait_for_function("room.querySelector('.wb-view').clientHeight < 310")
    stage.locator(".annotation-text", has_text="over training").wait_for(state="detached")
    assert read.inner_text() == "Dark: both layers find the same samples alike."


def test_a_click_on_a_cell_shows_its_history(stage: Page, digits_run: Any) -> None:
    mount(stage, built("cka", digits_run))
    drawn(stage, step=120)
    box = stage.locator(".draglayer .xy .nsewdrag").bounding_box()
    assert box is not None
    stage.mouse.move(box["x"] + 10, box["y"] + box["height"] - 10)
    stage.mouse.click(box["x"] + 10, box["y"] + box["height"] - 10)
    stage.locator(".annotation-text", has_text="hidden1 × hidden1").wait_for()


def test_a_brush_sends_sample_ids_as_an_array_buffer(stage: Page, digits_run: Any) -> None:
    arrays, _ = digits_run["trilateral"]
    mount(stage, built("trilateral", digits_run))
    drawn(stage, step=120)
    box = stage.locator(".draglayer .xy .nsewdrag").bounding_box()
    assert box is not None
    stage.mouse.move(box["x"] + box["width"] * 0.45, box["y"] + box["height"] * 0.1)
    stage.mouse.down()
    stage.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.5, steps=4)
    stage.mouse.move(box["x"] + box["width"], box["y"] + box["height"], steps=4)
    stage.mouse.up()
    stage.locator(".wb-chip").wait_for()
    assert stage.evaluate("model.traits.selected instanceof ArrayBuffer")
    raw = stage.evaluate("Array.from(new Uint8Array(model.traits.selected))")
    ids = selected_ids(bytes(raw))
    chosen = np.isin(arrays["ids"], ids)
    assert stage.locator(".wb-chip").text_content() == f"n = {chosen.sum()} selected ✕"
    assert 0 < chosen.sum() < len(chosen)
    # The brush began at 45 % of the frame's width: everything left of that stays out.
    assert arrays["x"][chosen].min() > 0.3
    push(stage, built("trilateral", digits_run, step=125))
    stage.mouse.move(2, 2)
    drawn(stage, step=125, rev=2)
    assert stage.locator(".wb-chip").text_content() == f"n = {chosen.sum()} selected ✕"
    stage.locator(".wb-chip").click()
    stage.locator(".wb-chip").wait_for(state="detached")
    assert stage.evaluate("model.traits.selected") is None


def test_a_quadrant_is_a_button_that_tells_python(stage: Page, digits_run: Any) -> None:
    mount(stage, built("loyalty", digits_run))
    drawn(stage, step=120)
    stage.locator(".wb-cell", has_text="still to learn").click()
    assert stage.evaluate("model.traits.event") == {
        "kind": "quadrant",
        "student": 0,
        "teacher": 1,
        "count": 1,
    }


def test_auto_theme_follows_a_switch_of_the_page(stage: Page, digits_run: Any) -> None:
    mount(stage, built("curves", digits_run), theme="auto")
    drawn(stage, step=120)
    assert stage.locator('.wb-view[data-theme="light"]').count() == 1
    stage.evaluate("document.documentElement.classList.add('dark')")
    stage.locator('.wb-view[data-theme="dark"]').wait_for()
    stage.wait_for_function(
        "document.querySelector('.js-plotly-plot').data.some((t) => t.line?.color === '#62AEF5')"
    )


def test_text_colour_of_the_page_tells_the_theme(stage: Page, digits_run: Any) -> None:
    stage.evaluate("document.body.style.color = '#eee'")
    mount(stage, built("loyalty", digits_run), theme="auto")
    stage.locator('.wb-view[data-theme="dark"]').wait_for()


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_fills_its_container_and_shows_its_footer(
    stage: Page, view: str, digits_run: Any
) -> None:
    mount(stage, built(view, digits_run))
    drawn(stage, step=120)
    for size in ((366, 404), (446, 404), (366, 358), (336, 280), (900, 404)):
        stage.evaluate("([w, h]) => room.style.cssText = `width: ${w}px; height: ${h}px`", size)
        if view != "loyalty":
            stage.wait_for_function(
                """() => { const plot = document.querySelector('.wb-plot');
                  const svg = plot.querySelector('.main-svg').getBoundingClientRect();
                  return Math.abs(svg.width - plot.clientWidth) < 1
                    && Math.abs(svg.height - plot.clientHeight) < 1; }"""
            )
        box = stage.locator(".wb-view").bounding_box()
        footer = stage.locator(".wb-footer").bounding_box()
        assert box is not None and footer is not None
        assert (box["width"], box["height"]) == size
        assert footer["y"] + footer["height"] <= box["y"] + box["height"], size
        assert stage.evaluate("document.querySelector('.wb-view').scrollHeight") <= size[1]


def test_a_view_says_its_read_line_and_numbers_to_those_who_do_not_see_it(
    stage: Page, digits_run: Any
) -> None:
    frame = built("loyalty", digits_run)
    mount(stage, frame)
    figure = stage.get_by_role("figure")
    label = figure.get_attribute("aria-label") or ""
    assert frame.read_line in label and frame.summary in label
    assert figure.get_attribute("tabindex") == "0"


def test_names_of_the_user_are_text_never_html(stage: Page, digits_run: Any) -> None:
    bad = "<img src=x onerror=window.hurt=1>"
    arrays, facts = digits_run["cka"]
    facts = {**facts, "teacher_layers": [bad] * 4}
    mount(stage, import_module("workbench_widgets.cka").frame(arrays, facts))
    drawn(stage, step=120)
    frame = built("loyalty", digits_run, class_names=[bad] * 10)
    mount(stage, replace(frame, title=bad, footer=(bad,)))
    drawn(stage, step=120)
    assert stage.locator(".wb-view img").count() == 0
    assert stage.evaluate("window.hurt") is None


def test_in_a_notebook_plotly_js_comes_over_the_channel_once(stage: Page, digits_run: Any) -> None:
    stage.evaluate(
        """() => { const make = makeModel; window.asked = 0;
          window.makeModel = (traits) => { const model = make(traits);
            model.send = (message) => { if (message.kind === 'want-plotlyjs') { asked++;
              window.answer = (text) => model.fire('msg:custom', { kind: 'plotlyjs' },
                [new DataView(decode([text])[0])]); } };
            return model; }; }"""
    )
    mount(stage, built("cka", digits_run), plotly_url="")
    stage.wait_for_function("asked === 1")
    stage.evaluate("(text) => answer(text)", base64.b64encode(plotly_js_gz()).decode())
    drawn(stage, step=120)
    mount(stage, built("curves", digits_run), plotly_url="")
    drawn(stage, step=120)
    assert stage.evaluate("asked") == 1


def test_the_menu_gives_the_data_as_csv(stage: Page, digits_run: Any) -> None:
    mount(stage, built("curves", digits_run))
    drawn(stage, step=120)
    stage.locator(".wb-view").focus()
    stage.keyboard.press("m")
    with stage.expect_download() as download:
        stage.get_by_role("menuitem", name="Save data as CSV").click()
    text = download.value.path().read_text("utf-8")
    assert download.value.suggested_filename == "curves-step-120.csv"
    rows = [row for row in text.partition("\n\n")[0].splitlines() if not row.startswith("#")]
    assert rows[0] == 'step,"student accuracy, %"'
    expected = built("curves", digits_run).arrays["student_accuracy"]
    written = [float(row.split(",")[1]) for row in rows[1:]]
    assert np.array_equal(np.float32(written), expected)


def test_a_removed_view_lets_go_of_its_plot(stage: Page, digits_run: Any) -> None:
    mount(stage, built("curves", digits_run))
    drawn(stage, step=120)
    stage.evaluate("remove()")
    assert stage.locator(".main-svg").count() == 0
    push(stage, built("curves", digits_run, step=125))
    assert stage.locator('.wb-view[data-step="125"]').count() == 0
