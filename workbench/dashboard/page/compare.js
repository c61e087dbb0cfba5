// The place where runs are compared: table, fork tree, curves, where the answers differ.
// Pictures are drawn here from plain numbers; every number and interval comes from Python.

const COMPARE = `
.compare { padding: 0 12px 12px; min-width: 0; }
.pick { display: flex; align-items: center; gap: 14px; min-height: 34px; padding: 8px 0; flex-wrap: wrap; }
.pick label { display: flex; align-items: center; gap: 6px; color: var(--wb-ink2); }
.root select { height: 26px; max-width: 220px; padding: 0 6px; border: 1px solid var(--wb-line-strong); border-radius: 5px;
  background: var(--wb-surface); color: var(--wb-ink); font: inherit; font-weight: 600; }
.root :is(select, tr[data-focus], .mode button):focus-visible { outline: 2px solid var(--wb-ink); outline-offset: 1px; }
.same { display: inline-flex; align-items: center; height: 20px; padding: 0 9px; border: 1px solid var(--wb-line-strong);
  border-radius: 10px; color: var(--wb-ink2); font-size: 11px; }
.same.odd { background: var(--wb-attention); border-color: var(--wb-attention-edge); color: var(--wb-ink); }
.cards { display: grid; gap: 12px; grid-template-columns: minmax(0, 1fr) 404px;
  grid-template-areas: "table tree" "curves answers" "paths paths"; align-items: stretch; }
.cards > .table { grid-area: table; overflow: auto; } .cards > .tree { grid-area: tree; } .cards > .paths { grid-area: paths; overflow: auto; }
.cards > .curves { grid-area: curves; } .cards > .answers { grid-area: answers; }
.cards > .card { display: flex; flex-direction: column; min-width: 0; }
.cards .foot { margin-top: auto; padding-top: 8px; color: var(--wb-ink3); font-size: 11px; line-height: 14px; }
.compare table { border-collapse: collapse; width: 100%; margin-top: 8px; }
.compare th { padding: 2px 8px 2px 0; color: var(--wb-ink3); font-size: 11px; line-height: 14px; font-weight: 400; text-align: right; vertical-align: bottom; }
.compare td { padding: 5px 8px 5px 0; text-align: right; vertical-align: top; border-top: 1px solid var(--wb-line); white-space: nowrap; }
.compare td .small { display: block; color: var(--wb-ink2); }
.compare :is(th, td):first-child { text-align: left; padding-left: 6px; }
.compare td:first-child { white-space: normal; min-width: 130px; padding-right: 16px; }
.compare tr[data-focus] { cursor: pointer; } .compare tr[data-focus]:hover td { background: var(--wb-sunken); }
.compare thead td { border-top: 0; }
.compare tr.focus td { background: var(--wb-student-wash) !important; }
.compare tr.focus .name b { color: var(--wb-student); }
.compare th.over { text-align: center; } .compare th.over span { display: block; margin-left: 10px; border-bottom: 1px solid var(--wb-line-strong); }
.compare .off { float: right; padding: 0 4px; color: var(--wb-ink3); text-decoration: none; } .compare .off:hover { color: var(--wb-ink); }
.root select.adding { max-width: 110px; font-weight: 400; }
.compare .verdict { color: var(--wb-ink2); } .compare .best { color: var(--wb-ink2); } .compare b.num { font-weight: 600; }
.compare .dots { padding: 0 8px 0 0; text-align: left; } .compare .dots .small { white-space: normal; padding: 4px 0; }
.compare svg { display: block; overflow: visible; }
.compare svg svg.clip { overflow: hidden; }
.compare svg text { font-size: 11px; fill: var(--wb-ink2); }
.stroke { fill: none; stroke: var(--wb-ink3); stroke-width: 1.4; }
.stroke.focus { stroke: var(--wb-student); stroke-width: 2.2; } .stroke.baseline { stroke: var(--wb-ink); stroke-width: 1.6; }
.stroke.parent { stroke: var(--wb-line-strong); } .stroke.teacher { stroke: var(--wb-teacher); }
.stroke.thin { stroke-width: 1; opacity: 0.55; }
.band { fill: var(--wb-null-band); opacity: 0.6; stroke: none; } .band.focus { fill: var(--wb-student-wash); opacity: 1; }
.grid { fill: none; stroke: var(--wb-line); } .axis { fill: none; stroke: var(--wb-line-strong); } .zero { fill: none; stroke: var(--wb-ink); stroke-width: 1.4; }
.span { fill: var(--wb-null-band); } .span.focus { fill: var(--wb-student); opacity: 0.32; }
.mean { fill: none; stroke: var(--wb-ink); stroke-width: 2; } .mean.focus { stroke: var(--wb-student); }
.dot { fill: var(--wb-surface); stroke: var(--wb-ink2); stroke-width: 1.2; } .dot.focus { stroke: var(--wb-student); }
.end { fill: var(--wb-ink2); } .end.focus { fill: var(--wb-student); } .end.parent { fill: var(--wb-line-strong); } .end.baseline { fill: var(--wb-ink); }
.compare svg text.focus { fill: var(--wb-student); font-weight: 600; } .compare svg text.baseline { fill: var(--wb-ink); font-weight: 600; }
.compare svg text.teacher { fill: var(--wb-teacher); } .compare svg text.ink3 { fill: var(--wb-ink3); } .compare svg text.parent { fill: var(--wb-ink3); }
.mark { fill: var(--wb-ink); } .compare svg text.onmark { fill: var(--wb-surface); font-size: 11px; font-weight: 600; }
.mode { display: inline-flex; } .root .mode button { min-height: 20px; padding: 0 8px; border-radius: 0; margin-left: -1px; font-size: 11px; }
.root .mode button[aria-pressed="true"] { background: var(--wb-ink); border-color: var(--wb-ink); color: var(--wb-surface); }
.headline { display: flex; align-items: baseline; gap: 8px; flex-wrap: wrap; } .headline .mode { margin-left: auto; } .headline .mode + .mode { margin-left: 8px; }
.cell { margin-top: 8px; } .cell .row b { font-weight: 600; }
.cell .track { height: 10px; margin-top: 3px; }
.fill { height: 100%; min-width: 0; box-sizing: border-box; border: 1px solid var(--wb-ink2); background: var(--wb-surface); }
.fill.first { background: var(--wb-student); border-color: var(--wb-student); }
.fill.second { background: repeating-linear-gradient(135deg, var(--wb-ink) 0 2px, var(--wb-surface) 2px 5px); border-color: var(--wb-ink); }
.byclass td, .byclass th { text-align: center !important; padding: 3px 2px; }
.byclass :is(td, th):first-child { text-align: left !important; min-width: 0; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; max-width: 110px; }
.byclass-scroll { overflow-x: auto; }
.paths td { font-weight: 400; text-align: left; white-space: normal; overflow-wrap: anywhere; } .paths th { text-align: left; }
.paths td:first-child { white-space: nowrap; }
.protocols { margin-top: 6px; } .protocols div { margin-top: 4px; }
.noted { margin: 8px 0 0; padding: 8px 12px; border: 1px solid var(--wb-attention-edge); border-radius: 6px; background: var(--wb-attention); }
.nothing { max-width: 460px; margin: 48px auto; text-align: center; } .nothing p { color: var(--wb-ink2); }
.root a.button { display: inline-block; padding: 6px 16px; border-radius: 5px; background: var(--wb-ink); color: var(--wb-surface); font-weight: 600; text-decoration: none; }
@media (max-width: 1199px) { .cards { grid-template-columns: minmax(0, 1fr); grid-template-areas: "table" "curves" "tree" "answers" "paths"; } }
`;

const DASH = { solid: null, dash: "7 4", dot: "2 3", dashdot: "8 3 2 3", longdash: "12 4" };
const WIDTH = { dots: 236, tree: 378 };
const at = (low, high, from, to) => (value) => from + ((value - low) / (high - low || 1)) * (to - from);
// Round ticks from 0 to at most the end, about five.
function round(end) {
  const raw = end / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = Math.max(1, [1, 2, 2.5, 5, 10].map((m) => m * power).find((m) => m >= raw * 0.999));
  return Array.from({ length: Math.floor(end / step + 1e-9) + 1 }, (_, k) => k * step);
}
const line = (d, kind, dash) => h("path", { class: kind, d, "stroke-dasharray": DASH[dash] });
// Words under the pointer.
function tip(text) {
  const node = document.createElementNS(SVG, "title");
  node.textContent = text;
  return node;
}
const write = (x, y, content, kind = "", anchor = "start") => h("text", { x, y, class: kind, "text-anchor": anchor }, content);
const points = (xs, ys) => xs.map((x, k) => `${k ? "L" : "M"}${x.toFixed(1)} ${ys[k].toFixed(1)}`).join("");
const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
// Where there is no room, a setting's name is what tells it apart: it stands behind the run's name.
const shortly = (text, most) => cut(text.length > most && text.includes(", ") ? text.slice(text.indexOf(", ") + 2) : text, most);
const stroke = (style, width = 24) =>
  h("svg", { width, height: 8, viewBox: `0 0 ${width} 8`, "aria-hidden": "true", style: "display:inline-block;margin-right:6px" },
    line(`M0 4H${width}`, `stroke ${style.role}`, style.dash));

const choice = (name, text, options, value) =>
  h("label", {}, text, h("select", { "data-pick": name, "aria-label": text },
    options.map(([key, words]) => h("option", { value: key, selected: key === value }, words))));

// What else can be compared; the choice falls back to its first line once it is on the page.
const adding = (more) => more.length
  ? h("label", {}, "Add", h("select", { "data-pick": "add", "aria-label": "Add", class: "adding" }, h("option", { value: "" }, "runs…"),
    more.map(({ run, words }) => h("option", { value: run }, words))))
  : null;

function picks(state) {
  const equal = state.conditions.filter(({ same }) => same).map(({ what }) => what);
  const chips = [equal.length ? h("span", { class: "same" }, "✓ equal: ", equal.join(", ")) : null,
    ...state.conditions.filter(({ same }) => !same).map(({ words }) => h("span", { class: "same odd" }, "△ ", words))];
  return h("div", { class: "pick" },
    state.against ? choice("against", "Against", state.baselines.map(({ run, name }) => [run, name]), state.against) : null,
    choice("measure", "Measure", state.measures.map(({ name, words }) => [name, words]), state.measure),
    adding(state.more), h("span", { class: "ink2" }, state.head), chips, files(state));
}

// What the server is asked by whoever wants the numbers of this page: what it picked by itself is said too.
function queryOf(state) {
  const asked = { compare: new URLSearchParams(state.address.split("?")[1]).get("compare") };
  for (const name of ["against", "measure", "focus"]) if (state[name]) asked[name] = state[name];
  return new URLSearchParams(asked).toString();
}

// The numbers on this page as files: all digits for a spreadsheet, one table for print.
function files(state) {
  const link = (to, words) => h("a", { class: "file", href: `tables?${queryOf(state)}&to=${to}`, download: "" }, words);
  return h("span", { class: "files" }, "Save table: ", link("csv", "CSV"), " · ", link("tex", "LaTeX"));
}

// One row's differences: bar of the interval, a dot a seed (stacked where they meet), mean tick, zero.
function dots(row, axis) {
  const told = row.difference;
  const x = at(axis.low, axis.high, 6, WIDTH.dots - 6);
  const frame = [axis.ticks.map((tick) => line(`M${x(tick.at)} 0V32`, "grid")), line(`M${x(0)} 0V32`, "zero")];
  if (!told) return h("svg", { width: WIDTH.dots, height: 32, role: "img", "aria-label": "the baseline" }, frame, write(x(0) + 6, 20, "baseline", "ink3"));
  const kind = row.role === "focus" ? " focus" : "";
  const level = [];
  const circles = told.points.map((point) => {
    const cx = x(point.value);
    const near = level.filter((other) => Math.abs(other - cx) < 8).length;
    level.push(cx);
    const cy = 16 + (near % 2 ? 1 : -1) * Math.ceil(near / 2) * 6;
    return h("circle", { class: `dot${kind}`, cx, cy, r: 3.4, "data-seed": point.seed }, tip(point.text));
  });
  const bar = told.interval
    ? h("rect", { class: `span${kind}`, x: x(told.interval[0]), y: 10, width: Math.max(x(told.interval[1]) - x(told.interval[0]), 1), height: 12 })
    : null;
  const words = `${told.points.map((point) => point.text).join(", ")}; mean ${told.text}; ${told.interval_text}${told.verdict ? `: ${told.verdict}` : ""}`;
  return h("svg", { width: WIDTH.dots, height: 32, role: "img", "aria-label": words },
    frame, bar, line(`M${x(told.mean)} 7V25`, `mean${kind}`), circles);
}

function scale(axis) {
  const x = at(axis.low, axis.high, 6, WIDTH.dots - 6);
  return h("svg", { width: WIDTH.dots, height: 14, "aria-hidden": "true" }, axis.ticks.map((tick) => write(x(tick.at), 11, tick.text, "ink3", "middle")));
}

function settingsTable(state, own, query) {
  const heads = [];
  for (const [, , over] of state.columns)
    if (heads.at(-1)?.over === over) heads.at(-1).span += 1;
    else heads.push({ over, span: 1 });
  const rows = state.rows.map((row) => {
    const told = row.difference;
    const picture = told?.refused
      ? h("td", { class: "dots", colspan: 2 }, h("span", { class: "small" }, `No difference: ${told.refused}.`))
      : [h("td", { class: "dots" }, dots(row, state.axis)),
        h("td", {}, h("b", { class: "num" }, told?.text ?? "–"), told?.verdict ? h("span", { class: "verdict" }, ` ${told.verdict}`) : null,
          h("span", { class: "small", title: told?.why ?? "" }, told?.interval_text ?? "\u00a0"))];
    return h("tr", { class: row.role, "data-key": row.run, "data-focus": row.run, "data-setting": row.run, tabindex: 0,
      "aria-selected": String(row.role === "focus") },
      h("td", { class: "name" }, state.rows.length > 1 ? h("a", { class: "off", href: row.without.slice(1), "aria-label": `Take ${row.name} away`, title: "Take away" }, "✕") : null,
        stroke(row), h("b", {}, row.name), h("span", { class: "small" }, row.words, " · ",
        row.runs.slice(0, 10).map(({ run, seed }, k) => [k ? " " : "", h("a", { href: `?run=${encodeURIComponent(run)}`, title: run }, row.runs.length > 1 ? String(seed) : "open")]))),
      row.cells.map(([value, under], k) => h("td", { class: state.columns[k][0] === "probe-best" ? "best" : "" },
        h("b", { class: "num" }, value), h("span", { class: "small" }, under || "\u00a0"))),
      picture);
  });
  return h("section", { class: "card table" },
    h("div", { class: "headline" }, figureTitle(own, "runs", "Runs", query),
      h("span", { class: "read" }, "Each dot is one seed minus the same seed of the baseline. Click a row to bring it out.")),
    h("table", { "data-table": "settings" },
      h("thead", {},
        h("tr", {}, h("td"), heads.map(({ over, span }) => h("th", { colspan: span, class: "over" }, h("span", {}, over))), h("td", { colspan: 2 })),
        h("tr", {}, h("th", {}, "setting"), state.columns.map(([, head]) => h("th", { scope: "col" }, head)),
          h("th", { style: "text-align:left" }, h("div", { style: `width:${WIDTH.dots}px` }, state.difference_head)), h("th", {}, "mean, 95 % interval"))),
      h("tbody", {}, rows,
        h("tr", {}, h("td", { colspan: 1 + state.columns.length }), h("td", { class: "dots" }, scale(state.axis)), h("td")))),
    h("details", { class: "protocols small ink2" }, h("summary", {}, "Protocol of each row"),
      state.captions.map(({ name, text }) => h("div", {}, h("b", {}, name), `: ${text}`))),
    h("div", { class: "foot" }, state.footer));
}

function tree({ lines, footer }, own, query) {
  const end = Math.max(1, ...lines.map((one) => Math.max(one.steps, one.step)));
  const x = at(0, end, 6, WIDTH.tree - 62);
  const height = 46 * lines.length + 8;
  const y = new Map(lines.map((one, k) => [one.run, 46 * k + 28]));
  const ticks = round(end);
  const drawn = lines.map((one) => {
    const from = one.parent ? one.forked_at : 0;
    const level = y.get(one.run);
    const link = one.parent && y.has(one.parent) ? line(`M${x(from)} ${y.get(one.parent)}V${level}`, "stroke parent") : null;
    const marks = one.marks.map((mark) => [
      h("rect", { class: "mark", x: x(mark.step) - 6, y: level - 7, width: 12, height: 14 }, tip(mark.text)),
      write(x(mark.step), level + 4, String(mark.number), "onmark", "middle")]);
    const label = cut(one.gone ? `${one.name}, from ${one.gone} (removed)` : one.name, 46);
    return h("g", { "data-run-line": one.run, "data-parent": one.parent ?? "" },
      link, line(`M${x(from)} ${level}H${x(one.step)}`, `stroke ${one.role}`, one.dash),
      one.step < one.steps ? line(`M${x(one.step)} ${level}H${x(one.steps)}`, "grid", "dot") : null,
      h("circle", { class: `dot ${one.role}`, cx: x(from), cy: level, r: 4 }),
      h("circle", { class: `end ${one.role}`, cx: x(one.step), cy: level, r: 4 }),
      marks, write(x(from) > 180 ? 6 : x(from) + (from ? 8 : -4), level - 10, label, one.role),
      h("g", {}, tip(`Accuracy of ${one.name} at its last look: ${one.accuracy || "none yet"}, ${one.of}`),
        write(x(one.step) + 8, level + 4, one.accuracy, one.role === "focus" ? "focus" : "")));
  });
  const told = lines.flatMap((one) => one.marks.map((mark) => `${mark.number}: ${mark.text} (${one.name})`));
  return h("section", { class: "card tree" }, figureTitle(own, "tree", "Fork tree", `${query}&name=tree`),
    h("div", { class: "read" }, "Where each run came from; the numbers are journal marks."),
    h("svg", { width: WIDTH.tree, height: height + 32, viewBox: `0 0 ${WIDTH.tree} ${height + 32}`, role: "img",
      "aria-label": `${lines.length} runs; ${told.join("; ") || "no journal marks"}` },
      ticks.map((tick) => line(`M${x(tick)} 4V${height}`, "grid")), drawn, line(`M6 ${height}H${x(end)}`, "axis"),
      ticks.map((tick, k) => write(x(tick), height + 14, spaced(tick), "ink3", k ? "middle" : "start")),
      write(x(end / 2), height + 28, "step", "ink3", "middle")),
    told.length ? h("div", { class: "small ink2" }, told.slice(0, 4).join(" · "), told.length > 4 ? ` · and ${told.length - 4} more` : "") : null,
    h("div", { class: "foot" }, footer));
}

const MODES = [["step", "step"], ["epoch", "epoch"], ["share", "LR phase"]];

// One line a run, or the mean over seeds with its range; x by step, epoch, or share of the schedule.
function curveCard(state, own) {
  const told = state.curves;
  const asked = own.mode ?? state.along;
  const mode = asked === "epoch" && !told.epochs ? "step" : asked;
  const several = told.settings.some((one) => one.mean);
  const mean = several && (own.lines ?? state.lines) === "mean";
  const width = Math.max((own.width ?? 900) - 404 - 12 - 26 - 24, 480);
  const w = own.width && own.width < 1200 ? Math.max(own.width - 50, 480) : width;
  const [left, right, height] = [34, w - 150, 342];
  const unit = (run) => (mode === "epoch" ? run.epoch : mode === "share" ? run.end / 100 : 1) || 1;
  const shown = told.settings.flatMap((one) => {
    const style = { role: one.role, dash: one.dash, name: one.name, run: one.run };
    if (mean && one.mean) return [{ ...style, ...one.mean, by: unit(one.runs[0]), end: one.runs[0].end }];
    return one.runs.map((run, k) => ({ ...style, ...run, by: unit(run), named: !k, thin: one.runs.length > 1 }));
  }).filter((one) => one.steps.length);
  const values = shown.flatMap((one) => [...one.accuracy, ...(one.high ?? [])]);
  if (told.teacher !== null) values.push(told.teacher);
  const top = Math.min(1, Math.ceil(20 * Math.max(0.05, ...values) + 0.05) / 20);
  const sorted = [...values].sort((a, b) => a - b);
  const floor = Math.floor(20 * (sorted[Math.floor(sorted.length * 0.2)] ?? 0)) / 20;
  const low = Math.min(floor, top - 0.1);
  const last = Math.max(1e-9, ...shown.map((one) => one.end / one.by));
  const x = at(0, mode === "share" ? 100 : last, left, right);
  const y = at(low, top, height - 24, 28);
  const rank = { other: 0, baseline: 1, focus: 2 };
  const order = [...shown].sort((a, b) => rank[a.role] - rank[b.role]);
  const bands = order.filter((one) => one.low && one.role !== "other").map((one) => {
    const xs = one.steps.map((step) => x(step / one.by));
    return h("path", { class: `band ${one.role}`, d: `${points([...xs, ...[...xs].reverse()],
      [...one.high.map(y), ...[...one.low].reverse().map(y)])}Z` });
  });
  const drawn = order.map((one) => h("path", { class: `stroke ${one.role}${one.thin ? " thin" : ""}`, "data-curve": one.run,
    "stroke-dasharray": DASH[one.dash], d: points(one.steps.map((step) => x(step / one.by)), one.accuracy.map(y)) },
    tip(`${one.name}${one.seed === undefined ? "" : `, seed ${one.seed}`}: ${(100 * one.accuracy.at(-1)).toFixed(1)} % at step ${spaced(one.steps.at(-1))}`)));
  const ends = shown.filter((one) => one.named !== false).map((one) => ({ ...one, y: Math.min(y(one.accuracy.at(-1)), height - 24), x: x(one.steps.at(-1) / one.by) }));
  if (told.teacher !== null) ends.push({ role: "teacher", name: "teacher", y: y(told.teacher), x: right });
  ends.sort((a, b) => a.y - b.y);
  ends.forEach((one, k) => { one.at = Math.max(one.y, k ? ends[k - 1].at + 14 : 0); });
  const labels = ends.map((one) => [
    line(`M${Math.max(one.x, right - 4)} ${one.y}L${right + 8} ${one.at}`, "grid"), write(right + 10, one.at + 4, shortly(one.name, 24), one.role)]);
  const rows = Array.from({ length: Math.round((top - low) / 0.05) + 1 }, (_, k) => low + 0.05 * k).filter((_, k, all) => all.length < 9 || k % 2 === 0);
  const focus = told.settings.find((one) => one.role === "focus") ?? told.settings[0];
  const phases = mode === "share" ? focus.phases : [];
  const ticks = mode === "share" ? [0, 25, 50, 75, 100] : round(last);
  const press = (name, options, value) => h("span", { class: "mode", role: "group", "aria-label": name }, options.map(([key, text]) =>
    h("button", { type: "button", [`data-${name}`]: key, "aria-pressed": String(key === value) }, text)));
  const words = shown.map((one) => `${one.name} ${(100 * one.accuracy.at(-1)).toFixed(1)} %`).join(", ");
  const under = mode === "share" ? "share of the stage's schedule, %" : mode;
  const note = mean ? "line: mean over seeds at the looks that all have · band: lowest to highest seed" : "one line a run";
  return h("section", { class: "card curves" },
    h("div", { class: "headline" }, figureTitle(own, "curves", "Curves", `${queryOf(state)}&name=curves`),
      h("span", { class: "read" }, mode === "share" ? "Runs of different length meet at the same part of their schedule." : "Probe accuracy at each look; told apart by dash and label."),
      press("mode", MODES.filter(([key]) => key !== "epoch" || told.epochs), mode),
      several ? press("lines", [["mean", "mean, range"], ["seeds", "seeds"]], mean ? "mean" : "seeds") : null),
    told.waits ? h("p", { class: "read" }, told.waits) : null,
    h("svg", { width: w, height: height + 16, role: "img", "aria-label": `Probe accuracy: ${words}`, "data-x": mode },
      rows.map((value) => [line(`M${left} ${y(value)}H${right}`, "grid"), write(left - 6, y(value) + 4, (100 * value).toFixed(0), "ink3", "end")]),
      phases.slice(1).map(([, from]) => line(`M${x(100 * from)} 28V${height - 24}`, "axis")),
      phases.map(([name, from, to]) => h("g", {}, tip(name), write(x(50 * (from + to)), 22, fitted(name, x(100 * to) - x(100 * from) - 6), "ink3", "middle"))),
      line(`M${left} 28V${height - 24}H${right}`, "axis"),
      told.teacher === null ? null : line(`M${left} ${y(told.teacher)}H${right}`, "stroke teacher", "dash"),
      h("svg", { class: "clip", x: left, y: 26, width: right - left + 2, height: height - 50, viewBox: `${left} 26 ${right - left + 2} ${height - 50}` }, bands, drawn),
      labels,
      ticks.map((tick) => write(x(tick), height - 8, spaced(Math.round(tick)), "ink3", "middle")),
      write((left + right) / 2, height + 8, under, "ink3", "middle"),
      write(6, 12, `probe accuracy, %${told.n ? `, n = ${spaced(told.n)}` : ""}`, "ink3")),
    h("div", { class: "foot" }, note, told.teacher === null ? " · teachers differ, so none is drawn" : ""));
}

function answersCard(told, own, query) {
  const title = figureTitle(own, "answers", "Where the answers differ", told.refused ? null : `${query}&name=answers`);
  if (told.refused) return h("section", { class: "card answers", "data-answers": "refused" }, title, h("p", { class: "read" }, told.refused));
  const most = Math.max(1, ...told.cells.slice(0, 2).map(({ value }) => value));
  const cells = told.cells.map(({ cell, words, count, value, share }, k) =>
    h("div", { class: "cell", "data-cell": cell },
      h("div", { class: "row" }, h("span", {}, words), h("span", {}, h("b", {}, count), h("span", { class: "ink2" }, ` ${share}`))),
      k < 2 ? h("div", { class: "track" }, value ? h("div", { class: `fill ${cell}`, style: `width:${(100 * value) / most}%` }) : null) : null));
  const tint = (value) => value
    ? `background:color-mix(in srgb, var(--wb-measure3) ${Math.round(15 + (45 * value) / Math.max(told.most, 1))}%, var(--wb-surface))` : null;
  const row = (name, key) => h("tr", {}, h("td", { title: name }, shortly(name, 18)), told.classes.map((one) => h("td", { style: tint(one[key]) }, String(one[key]))));
  return h("section", { class: "card answers", "data-answers": "shown" }, title,
    h("div", { class: "read" }, told.read), cells,
    h("div", { class: "ink2", style: "margin-top:12px" }, "by class of the sample; right alone"),
    h("div", { class: "byclass-scroll", tabindex: 0 }, h("table", { class: "byclass" },
      h("thead", {}, h("tr", {}, h("td"), told.classes.map((one) => h("th", { title: `n = ${one.n}` }, cut(one.name, 8))))),
      h("tbody", {}, row(told.first, "first"), row(told.second, "second"),
        h("tr", {}, h("td", { class: "ink3" }, "n"), told.classes.map((one) => h("td", { class: "ink3" }, String(one.n))))))),
    h("div", { class: "foot" }, told.footer));
}

function pathsCard({ names, rows }, own, query) {
  const body = rows.length
    ? h("table", { "data-table": "paths" }, h("thead", {}, h("tr", {}, h("th", {}, "path"), names.map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, rows.map(({ path, values }) => h("tr", {}, h("td", { class: "code" }, path), values.map((value) => h("td", {}, value))))))
    : h("p", { class: "read" }, "The experiments differ in their seed only, or there is one of them.");
  return h("section", { class: "card paths" }, figureTitle(own, "paths", "Where the experiments differ", rows.length ? `${query}&name=paths` : null),
    h("div", { class: "read" }, "Only paths that are not the same in all; defaults written out, changes by hand at their step."), body);
}

function compare(state, own) {
  const notes = (state.notes ?? []).map((note) => h("div", { class: "noted", role: "alert" }, note));
  const heading = h("h1", { class: "unseen" }, "Runs compared");
  if (state.empty !== false)
    return h("div", { class: "root compare" }, heading, notes, h("section", { class: "card nothing", hidden: state.empty === undefined },
      h("h2", { class: "title" }, "No runs chosen"), h("p", {}, "Tick two or more runs under Recent runs, then press Compare."),
      h("a", { class: "button", href: "./" }, "Choose runs"),
      h("div", { class: "pick", style: "justify-content:center" }, adding(state.more ?? []))));
  const query = queryOf(state);
  return h("div", { class: "root compare", "data-compare": state.rows.length }, heading, notes, picks(state),
    h("div", { class: "cards" }, settingsTable(state, own, query), tree(state.tree, own, query), curveCard(state, own),
      answersCard(state.answers, own, query), pathsCard(state.paths, own, query)));
}

function listenToCompare(el, own, send, draw) {
  listenToFigures(el, own, draw, () => "comparison", () => own.state.protocol);
  const focus = (event) => {
    const row = event.target.closest("[data-focus]");
    if (row && !event.target.closest("a")) send({ do: "focus", value: row.dataset.focus });
  };
  el.addEventListener("change", (event) => {
    const { pick } = event.target.dataset;
    if (!pick) return;
    send({ do: pick, value: event.target.value });
    if (pick === "add") event.target.value = "";
  });
  el.addEventListener("click", (event) => {
    const pressed = event.target.closest("[data-mode], [data-lines]");
    if (!pressed) return focus(event);
    const { mode, lines } = pressed.dataset;
    own.mode = mode ?? own.mode; // at once; the server keeps it for the address
    own.lines = lines ?? own.lines;
    send(mode ? { do: "along", value: mode } : { do: "lines", value: lines });
    return draw();
  });
  el.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") {
      if (!event.target.matches("[data-focus]")) return;
      event.preventDefault();
      focus(event);
    }
  });
  new ResizeObserver(([{ contentRect }]) => {
    if (Math.abs(contentRect.width - (own.width ?? 0)) < 2) return;
    own.width = contentRect.width;
    draw();
  }).observe(el);
}
