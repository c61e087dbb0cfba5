// The top bar of a run (one element carries data-run and data-status), the notice under it, the tabs.

const TOP = `
.top { display: flex; align-items: center; gap: 14px; height: 47px; padding: 0 12px; white-space: nowrap; }
.brand { display: flex; align-items: center; gap: 8px; font-size: 13px; font-weight: 600; text-decoration: none; }
.what { border-left: 1px solid var(--wb-line); padding-left: 12px; min-width: 92px; overflow: hidden; flex: 0 1 auto; }
.what > * { overflow: hidden; text-overflow: ellipsis; }
.name { font-size: 13px; line-height: 16px; font-weight: 600; margin: 0; }
.by { display: flex; flex-wrap: wrap; height: 14px; } .by > * { overflow: hidden; text-overflow: ellipsis; } /* no room: the whole link goes */
.chip { display: inline-flex; align-items: center; height: 20px; padding: 0 9px; border: 1px solid var(--wb-ink);
  border-radius: 10px; font-weight: 600; }
.chip.lost { border-style: dashed; }
.chip.failed { border-color: var(--wb-error); color: var(--wb-error); }
.progress { width: 190px; flex: 0 1 190px; min-width: max-content; } .progress .row > * { white-space: nowrap; }
.progress .bar { margin-top: 5px; }
.pair { min-width: 88px; flex: none; }
.pair.left { min-width: 76px; flex: 0 1 auto; }
.pair.left > div { overflow: hidden; text-overflow: ellipsis; }
.gap { flex: 1 1 0; min-width: 0; }
.places { display: flex; gap: 2px; padding-left: 10px; border-left: 1px solid var(--wb-line); }
.root .places a { padding: 4px 10px; border-radius: 5px; color: var(--wb-ink2); text-decoration: none; }
.root .places a[aria-current] { background: var(--wb-sunken); color: var(--wb-ink); font-weight: 600; }
.root .places a:hover { background: var(--wb-sunken); }
.acts { display: flex; align-items: center; gap: 8px; flex: none; }
.refused { position: absolute; right: 12px; top: 50px; z-index: 15; max-width: 560px; padding: 6px 10px;
  white-space: normal; background: var(--wb-attention); border: 1px solid var(--wb-attention-edge); border-radius: 5px; }
.taking { position: relative; }
.menu { position: absolute; right: 0; top: 30px; z-index: 15; display: flex; flex-direction: column; min-width: 150px; padding: 4px;
  background: var(--wb-surface); border: 1px solid var(--wb-line-strong); border-radius: 5px; }
.taking .menu > * { white-space: nowrap; } .menu > span, .menu a { padding: 5px 8px; border-radius: 4px; text-decoration: none; } .menu a:hover { background: var(--wb-sunken); }
.root .acts input { height: 26px; padding: 0 6px; font: inherit; color: var(--wb-ink); background: var(--wb-surface);
  border: 1px solid var(--wb-line-strong); border-radius: 5px; }
.theme { min-width: 30px; font-size: 14px; }
.root button.theme { padding: 0 6px; }
@media (max-width: 1599px) { .progress .epoch { display: none; } }
@media (max-width: 1279px) { .progress .unit { display: none; } }
@media (max-width: 1279px) { .top[data-run] .brand b { display: none; } .top { gap: 10px; } .probes { display: none; } }
@media (max-width: 1099px) { .pair { min-width: 64px; } .progress { flex-basis: 120px; } }
@media (max-width: 1439px) { .acts.asking > :is(.slow, [data-key="pause"], [data-key="resume"], [data-key="fork"], [data-key="export"]) { display: none; } }
@media (max-width: 1199px) { .pair.speed { display: none; } }
@media (max-width: 999px) { .slow { display: none; } }
@media (max-width: 1399px) { .slow .pace { display: none; } }
@media (max-width: 899px) { .elapsed, .gap, .pair.none { display: none; } .what { padding-left: 8px; } .root.top { flex-wrap: wrap; height: auto; padding: 6px 12px; gap: 6px 8px; }
  .top[data-run] .what { flex: 1 1 140px; } .acts { flex-wrap: wrap; } .refused { top: 100%; left: 12px; } }
@media (max-width: 799px) { .acts { gap: 4px; } .root .acts button { padding: 0 6px; } }
.notice { display: flex; gap: 10px; align-items: baseline; padding: 8px 16px; border-bottom: 1px solid var(--wb-line);
  background: var(--wb-sunken); }
.notice.bad { background: var(--wb-error-wash); color: var(--wb-ink); }
.notice.bad .icon { color: var(--wb-error); }
.notice.attention { background: var(--wb-attention); border-color: var(--wb-attention-edge); }
.notice .icon { margin: 0; }
.notice .words { flex: 1 1 0; min-width: 0; }
.notice .mark { display: inline-block; min-width: 16px; padding: 0 3px; border-radius: 2px; background: var(--wb-ink); color: var(--wb-surface);
  font-size: 11px; line-height: 16px; font-weight: 600; text-align: center; }
.notice .repairs { flex: none; display: flex; flex-wrap: wrap; justify-content: flex-end; gap: 8px; }
.under { display: flex; align-items: center; gap: 4px; padding: 8px 8px 0; } .tabs { display: flex; gap: 4px; }
.root.under button { border-color: transparent; background: none; color: var(--wb-ink2); }
.root.under button[aria-selected="true"] { background: var(--wb-sunken); color: var(--wb-ink); font-weight: 600; }
@media (max-width: 899px) { .under { display: none; } }
`;

const BUTTONS = {
  pause: ["❚❚", "Pause"],
  resume: ["▶", "Resume"],
  stop: ["■", "Stop"],
};

// Fork opens New experiment at the step that is shown, or that a button names; the run itself is left as it is.
function openFork({ state, shown }, named) {
  const at = named ?? Math.min(shown?.step ?? state.step, state.reached);
  const run = new URLSearchParams(location.search).get("run");
  location.search = `?${new URLSearchParams({ fork: run, at })}`;
}

// A menu of what can be taken away: addresses with their words; words alone say what a file waits for.
function taking(own, files) {
  const file = ([href, word]) => href ? h("a", { href, download: "" }, word) : h("span", { class: "ink2" }, word);
  return h("span", { class: "taking", "data-key": "export" },
    button("Export", "take", { "aria-expanded": String(Boolean(own.taking)) }),
    own.taking ? h("span", { class: "menu" }, files.map(file)) : null);
}

function actions(state, own) {
  const has = (name) => (name === "export" || !looksOnly(state)) && (state.buttons ?? []).includes(name);
  const made = [];
  if (has("pace")) {
    const slow = state.slow !== null && state.slow !== undefined;
    const ms = Math.round(1000 * (slow ? state.slow : 0.08));
    made.push(h("button", { type: "button", class: "slow", "data-key": "pace", "data-do": "pace", "data-slow": slow ? "" : "1",
      "aria-pressed": String(slow), title: slow ? "Train at full speed" : "Stretch each step so that you can follow" },
      slow ? ["Slow motion", h("span", { class: "pace" }, `: ${ms} ms a step`)] : "Full speed"));
  }
  for (const name of ["pause", "resume"]) {
    if (!has(name)) continue;
    const [sign, word] = BUTTONS[name];
    made.push(button([icon(sign), word], name, { "data-key": name, class: name === "resume" ? "primary" : null }));
  }
  if (has("stop") && own.asking) {
    made.push(h("span", { "data-key": "ask" }, "Stop at the next step?"));
    made.push(button([icon("■"), "Stop"], "stop", { "data-key": "sure", class: "primary" }));
    made.push(button("Keep going", "keep", { "data-key": "keep" }));
  } else if (has("stop")) made.push(button([icon("■"), "Stop"], "ask", { "data-key": "stop" }));
  if (has("fork")) made.push(button("Fork", "where", { "data-key": "fork", title: "A new run from the shown step on: opens New experiment, filled in" }));
  if (has("export")) made.push(taking(own, state.exports.map(([to, word]) => [`export?run=${encodeURIComponent(state.run)}&to=${to}`, word])));
  return made;
}

// Told to who listens, at most every 10 s, from a place outside of what is drawn anew.
const SPOKEN_MS = 10_000;

function speak(own, text) {
  const place = document.getElementById("spoken");
  if (!place || !text || Date.now() - (own.spokenAt ?? 0) < SPOKEN_MS) return;
  own.spokenAt = Date.now();
  place.textContent = text;
}

function top(state, own) {
  const light = document.documentElement.dataset.theme !== "dark";
  const theme = h("button", { type: "button", class: "bare theme", "data-do": "theme", "data-key": "theme",
    "aria-label": light ? "Dark theme" : "Light theme", title: light ? "Dark theme" : "Light theme" }, "◐");
  const brand = h("a", { class: "brand", href: "./", "aria-label": "Workbench, start page" }, logo(), h("b", {}, "Workbench"));
  const gap = h("div", { class: "gap" });
  if (!state.run) {
    const machine = h("span", { class: "ink2 machine" }, state.machine ?? "");
    return h("div", { class: "root top" }, brand, places(state), gap,
      h("div", { class: "acts" }, waits(state), machine, state.exports?.length ? taking(own, state.exports) : null, person(state, own), h("a", { class: "neu", href: "?new=" }, icon("+"), "New experiment"), helpButton(), theme),
      state.refused ? h("div", { class: "refused", role: "alert" }, state.refused) : null);
  }
  const seed = [state.recipe && state.recipe !== state.name ? `recipe ${state.recipe}` : state.recipe ? "recipe" : null,
    `seed ${state.seed}`].filter(Boolean).join(", ");
  const group = state.group ?? { href: `/?compare=${encodeURIComponent(state.run)}`, words: "compare" };
  const by = [h("span", {}, seed), h("span", {}, "\u00a0· ", h("a", { href: group.href.slice(1), "data-key": "group" }, group.words))];
  const part = state.steps ? (100 * state.step) / state.steps : 0;
  return h("div", { class: "root top", "data-run": state.run, "data-status": state.status },
    home(own),
    h("div", { class: "what" }, h("h1", { class: "name", title: state.name }, state.name), h("div", { class: "small ink2 by" }, by)),
    own.lost
      ? h("span", { class: "chip lost", role: "status" }, icon("△"), "Not connected")
      : h("span", { class: `chip ${state.status}`, role: "status" }, icon(state.icon), state.word),
    looksOnly(state) ? h("span", { class: "chip eye", "data-key": "eye" }, icon("◉"), "View only") : null,
    h("div", { class: "progress" },
      h("div", { class: "row" }, h("span", {}, state.step_text ? [h("span", { class: "unit" }, "step "), h("b", {}, state.step_text)] : ""),
        h("span", { class: "ink2" }, state.epoch ? h("span", { class: "epoch" }, `${state.epoch} · `) : null, state.share)),
      h("div", { class: "bar", role: "progressbar", "aria-label": "Steps", "aria-valuemin": 0, "aria-valuemax": 100,
        "aria-valuenow": Math.round(part) }, h("div", { style: `width:${part}%` }))),
    own.lost ? null : h("div", { class: "pair speed" }, h("div", {}, state.speed || "\u00a0"), h("div", { class: "small ink2 probes" }, state.probes || "\u00a0")),
    own.lost ? h("div", { class: "pair" }, `last seen: step ${state.step_text.split(" / ")[0] || state.step}`) : null,
    own.lost ? null : h("div", { class: `pair left${state.left || state.elapsed ? "" : " none"}` }, h("div", { title: [state.left, state.speed].filter(Boolean).join(", ") }, state.left || "\u00a0"),
      h("div", { class: "small ink2 elapsed" }, state.elapsed || "\u00a0")),
    gap,
    h("div", { class: `acts${own.asking ? " asking" : ""}` }, own.lost ? tryNow() : actions(state, own), own.lost ? null : person(state, own), helpButton(), theme),
    state.refused ? h("div", { class: "refused", role: "alert" }, state.refused) : null);
}

// What repairs it: the first is the one to press.
function noticeActs({ acts, may }) {
  if (!acts?.length || may === false) return null;
  return acts.map(({ do: what, step, word, title }, k) =>
    button(word, what, { "data-step": step, title, class: k ? null : "primary" }));
}

// A number among words is that of a journal mark.
const withMarks = (text) => [text].flat().map((piece) => typeof piece === "number" ? h("span", { class: "mark" }, piece) : piece);

function notice(state, own) {
  if (own.lost) return lostNotice();
  const back = [misread(globalThis[CHOSEN].words), misread(Toggling.words), misread(Opening.words), lookingBack(own.shown)].filter(Boolean);
  const queue = [askedLines(state), queueNotice(state)].flat().filter(Boolean);
  if (!state.kind) return h("div", { class: "root", hidden: !back.length && !queue.length }, queue, back);
  const role = state.kind === "bad" ? "alert" : "status";
  return h("div", { class: "root" },
    h("div", { class: `notice ${state.kind}`, role }, icon(state.icon),
      h("div", { class: "words" }, h("b", {}, state.head), " ", h("span", { class: "ink2" }, withMarks(state.text)), " ", stillShown(state, own)),
      evidence(state),
      h("span", { class: "repairs" }, noticeActs(state), failedActs(state, own))),
    own.report === "open" && state.report ? reportBox(state) : null, queue, back);
}

// That this run waits for its turn, or trains beside a queue.
const queueNotice = ({ queue }) =>
  queue ? h("div", { class: "notice", role: "status", "data-key": "queue" }, icon("…"),
    h("div", {}, queue, " ", h("a", { href: "?runs=" }, "See the queue"))) : null;

function tabs() {
  const now = document.documentElement.dataset.tab;
  const tab = (name, text) => h("button", { type: "button", role: "tab", "data-do": "tab", "data-tab": name,
    "aria-selected": String(now === name) }, text);
  return h("div", { class: "root under", role: "region", "aria-label": "Parts of the page" }, h("div", { class: "tabs", role: "tablist" },
    tab("views", "Four views"), tab("curves", "Curves, samples, result")),
    h("button", { type: "button", "data-do": "journal" }, "Journal"));
}
