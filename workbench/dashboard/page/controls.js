// The knobs of a run: label, newest mark, undo, value, slider. A change is sent on release or Enter;
// until the worker confirms it the value has a dashed edge and says "at next step".

const CONTROLS = `
.knob { padding: 6px 0 2px; }
.knob .head { display: flex; align-items: center; gap: 6px; min-height: 26px; }
.knob .head > label { flex: 1 1 0; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.mark { display: inline-flex; align-items: center; justify-content: center; min-width: 16px; height: 16px; padding: 0 3px;
  border-radius: 2px; background: var(--wb-ink); color: var(--wb-surface); font-size: 11px; font-weight: 600; }
.root button.undo { min-height: 20px; padding: 0 5px; }
.root input[type="text"], .root input[type="number"], .root select { height: 24px; padding: 0 6px; box-sizing: border-box; font: inherit;
  color: var(--wb-ink); background: var(--wb-surface); border: 1px solid var(--wb-line-strong); border-radius: 4px; }
.knob input[type="text"] { width: 62px; text-align: right; }
.knob.sent input[type="text"] { border-style: dashed; border-color: var(--wb-ink); }
.root :is(input, select):focus-visible { outline: 2px solid var(--wb-ink); outline-offset: 1px; }
.slide { position: relative; height: 16px; }
.slide .line, .slide .moved, .slide .tick { position: absolute; top: 7px; height: 2px; pointer-events: none; }
.slide .line { left: 6px; right: 6px; background: var(--wb-line-strong); }
.slide .moved { background: var(--wb-ink); }
.slide .tick { top: 3px; width: 1px; height: 10px; background: var(--wb-ink2); }
.slide input { position: absolute; inset: 0; width: 100%; height: 16px; margin: 0; background: none; appearance: none; cursor: pointer; }
.slide input::-webkit-slider-thumb { appearance: none; width: 12px; height: 12px; border-radius: 50%; background: var(--wb-surface);
  border: 2px solid var(--wb-ink); }
.slide input::-moz-range-thumb { width: 8px; height: 8px; border-radius: 50%; background: var(--wb-surface); border: 2px solid var(--wb-ink); }
.slide input::-webkit-slider-runnable-track { background: none; } .slide input::-moz-range-track { background: none; }
.knob .words { color: var(--wb-ink3); min-height: 14px; } .knob .words.bad { color: var(--wb-error); }
.more { margin-top: 6px; } .more summary { cursor: pointer; color: var(--wb-ink2); }
.more .line { display: flex; flex-wrap: wrap; gap: 4px 10px; align-items: center; margin-top: 6px; }
.more input[type="text"] { flex: 1 1 120px; min-width: 0; }
.more label { display: inline-flex; gap: 4px; align-items: center; }
.root button.hint { min-height: 18px; padding: 0 6px; font-size: 11px; border-color: var(--wb-attention-edge); background: var(--wb-attention); color: var(--wb-ink); }
.values { margin-top: 6px; }
`;

const UNDO = "↶";

function controls(state, own) {
  const told = state.controls;
  if (!told && state.unread) return h("div", { class: "group", "data-key": "unread" }, h("h2", { class: "title" }, "Controls"),
    h("p", { class: "read watch", style: "overflow-wrap:anywhere" }, "This server cannot read the run's experiment, so nothing can be set here. ", state.unread));
  if (!told) return null;
  const refused = stillRefused(state, own);
  const head = h("div", { class: "row" }, h("h2", { class: "title" }, "Controls"),
    h("span", { class: "small ink3" }, !told.live ? "as they stood" : looksOnly(state) ? "as they stand" : Number.isInteger(own.shown?.step) ? "act on the live run" : "applied at the next step"));
  const loss = h("p", { class: "code loss" }, pieces(state.loss));
  if (!told.live || looksOnly(state)) {
    const values = told.knobs.map((one) => [h("dt", {}, named(one), one.mark ? [" ", h("span", { class: "mark" }, one.mark)] : ""),
      h("dd", {}, one.text)]);
    return h("div", { class: "group", "data-key": "read" }, head, loss, h("dl", { class: "small values" }, values),
      told.why ? h("p", { class: "read watch" }, told.why) : null);
  }
  return h("div", { class: "group", "data-key": "live" }, head, loss,
    told.knobs.map((one) => knob(one, own, refused[one.path])), more(told, own, refused));
}

// What was refused stands until the next try; who types on or presses Escape has read it.
const stillRefused = (state, own) => Object.fromEntries(Object.entries(state.refused ?? {}).filter(([path, why]) => own.read?.[path] !== why && !own.sent?.[path]));
const answered = (state, path) => state.answered?.[path] ?? 0;
const asChange = (state, path, text) => ({ text, from: stands(state, path), after: answered(state, path) });

const named = (one) => [one.of ? h("span", { class: one.colour || null }, `${one.of} `) : "", one.name];

function knob(one, own, refused) {
  const sent = own.sent?.[one.path];
  const id = `knob-${one.path}`;
  const place = one.place ?? one.start ?? 0;
  const from = Math.min(one.start ?? place, place);
  const left = (share) => `calc(6px + (100% - 12px) * ${share})`;
  const words = refused ? refused : sent ? `${sent.text} at next step` : hint(one, own) ?? one.words;
  return h("div", { class: `knob${sent ? " sent" : ""}`, "data-key": one.path },
    h("div", { class: "head" }, h("label", { for: id, title: one.help }, named(one)),
      one.mark ? h("span", { class: "mark", title: `Changed by mark ${one.mark} of the journal` }, one.mark) : null,
      one.undo !== null ? h("button", { type: "button", class: "undo", "data-do": "set", "data-path": one.path, "data-value": one.undo,
        "aria-label": `Undo the change of ${one.of} ${one.name}`, title: "Undo: back to what it was before the mark" }, UNDO) : null,
      h("input", { type: "text", id, "data-path": one.path, "data-box": "", autocomplete: "off", spellcheck: "false",
        value: sent ? sent.text : one.text, "data-now": one.text })),
    one.place === null ? null : h("div", { class: "slide" }, h("div", { class: "line" }),
      h("div", { class: "moved", style: `left:${left(from)};width:calc((100% - 12px) * ${Math.abs(place - (one.start ?? place))})` }),
      h("div", { class: "tick", style: `left:${left(one.start ?? place)}` }),
      h("input", { type: "range", min: 0, max: 1, step: 0.01, value: place, "data-path": one.path, "data-low": one.low, "data-high": one.high,
        "data-log": one.log ? "1" : null, "aria-label": `${one.of} ${one.name}`.trim(), "aria-valuetext": one.text })),
    h("div", { class: `small words${refused ? " bad" : ""}`, role: refused ? "alert" : null }, words));
}

// Once for each person: what to try first. It goes as soon as any knob has been changed.
const HINTED = "workbench-hint-temperature";

function hint(one, own) {
  const half = Number((Number(one.text) / 2).toPrecision(2));
  const fits = one.path.endsWith(".temperature") && half >= 1 && !own.state.controls.knobs.some(({ mark }) => mark) && !Object.keys(own.sent ?? {}).length;
  own.hint ??= fits && !localStorage.getItem(HINTED) ? one.path : null;
  if (!fits || own.hint !== one.path) return null;
  localStorage.setItem(HINTED, "seen");
  return h("button", { type: "button", class: "hint", "data-do": "set", "data-path": one.path, "data-value": String(half) }, `Try it: ${one.text} → ${half}`);
}

function more(told, own, refused) {
  const { freeze, rows } = told;
  const any = "any path";
  const why = Object.entries(refused).find(([path]) => path !== "note" && !told.knobs.some((one) => one.path === path));
  const waits = Object.entries(own.sent ?? {}).find(([path]) => !told.knobs.some((one) => one.path === path));
  return h("details", { class: "more small", "data-key": "more", open: own.more ? true : null },
    h("summary", { "data-more": "" }, "Freeze layers, data filter, any path"),
    freeze.stages.length ? h("div", { class: "line" }, h("span", {}, "Freeze"), freeze.stages.map((stage) =>
      h("label", {}, h("input", { type: "checkbox", "data-freeze": stage.name, checked: stage.on ? true : null }), stage.name))) : null,
    h("div", { class: "line" }, h("label", {}, "Rows with label", h("select", { "data-path": rows.path, "data-select": "" },
      rows.choices.map((choice) => h("option", { value: choice, selected: choice === rows.value ? true : null }, choice))))),
    h("div", { class: "line" }, h("input", { type: "text", list: "paths", "data-any": "", "aria-label": any, autocomplete: "off",
      spellcheck: "false", placeholder: "path=value, then Enter" }),
      h("datalist", { id: "paths" }, told.paths.map((one) => h("option", { value: `${one.path}=` }, one.text)))),
    h("div", { class: `words${why ? " bad" : ""}`, role: why ? "alert" : null },
      why ? why[1] : waits ? `${waits[0]}: ${waits[1].text} at next step` : ""));
}

// What a slider's place means, as text that the box shows and the server reads.
function valueAt(range) {
  const [low, high, share] = [Number(range.dataset.low), Number(range.dataset.high), Number(range.value)];
  const value = range.dataset.log ? low * (high / low) ** share : low + (high - low) * share;
  return String(Number(value.toPrecision(2)));
}

// `x0.5` halves what stands there.
function typed(box) {
  const times = /^x\s*([\d.eE+-]+)$/i.exec(box.value.trim());
  return times ? String(Number((Number(box.dataset.now) * Number(times[1])).toPrecision(6))) : box.value.trim();
}

function listenToKnobs(el, own, send, draw) {
  const set = (path, text) => {
    own.sent = { ...own.sent, [path]: asChange(own.state, path, text) };
    own.read = { ...own.read, [path]: null };
    send({ do: "set", path, value: text });
    draw();
  };
  const seen = (path) => (own.read = { ...own.read, [path]: own.state.refused?.[path] });
  el.addEventListener("input", ({ target }) => {
    if (target.dataset.path) seen(target.dataset.path);
    if (target.type !== "range") return;
    target.closest(".knob").querySelector("[data-box]").value = valueAt(target);
  });
  el.addEventListener("change", ({ target }) => {
    const { path } = target.dataset;
    if (target.type === "range") set(path, valueAt(target));
    else if ("select" in target.dataset) set(path, target.value);
    else if ("freeze" in target.dataset) {
      const boxes = [...target.closest(".line").querySelectorAll("[data-freeze]")];
      const names = boxes.filter((box) => box.checked).map((box) => box.dataset.freeze);
      set(own.state.controls.freeze.path, `[${names.join(", ")}]`);
    } else if ("box" in target.dataset && typed(target) !== target.dataset.now) set(path, typed(target));
  });
  el.addEventListener("keydown", (event) => {
    const { target } = event;
    if (event.key === "Enter" && "any" in (target.dataset ?? {})) {
      const [path, ...value] = target.value.split("=");
      if (path.trim()) set(path.trim(), value.join("=").trim());
      target.value = "";
    } else if (event.key === "Enter" && "box" in (target.dataset ?? {})) target.blur();
    else if (event.key === "Escape" && "box" in (target.dataset ?? {})) {
      target.value = target.dataset.now;
      seen(target.dataset.path);
      draw();
    }
    else if (event.shiftKey && target.type === "range" && /^Arrow/.test(event.key)) {
      const up = event.key === "ArrowRight" || event.key === "ArrowUp";
      target.value = Number(target.value) + (up ? 0.1 : -0.1);
      target.dispatchEvent(new Event("input", { bubbles: true }));
      target.dispatchEvent(new Event("change", { bubbles: true }));
      event.preventDefault();
    }
  });
  el.addEventListener("toggle", ({ target }) => { if (target.classList?.contains("more")) own.more = target.open; }, true);
}

// What the server says of a path now; a change is settled when that differs, or there is an answer more.
function stands(state, path) {
  const one = state.controls?.paths.find((known) => known.path === path);
  return one ? `${one.text} ${state.controls.knobs.find((known) => known.path === path)?.mark ?? ""}` : "";
}

function settle(own) {
  for (const [path, sent] of Object.entries(own.sent ?? {}))
    if (answered(own.state, path) > sent.after || stands(own.state, path) !== sent.from) {
      const { [path]: _, ...rest } = own.sent;
      own.sent = rest;
    }
}
