// The sample inspector: one sample of the probe split, what both models answer, and where they look.
// Drawn from what inspector.js holds in `own.look`.

const SAMPLES = `
.samples { height: 100%; display: flex; flex-direction: column; overflow: hidden auto; gap: 4px; }
.samples > * { flex: none; }
.seg { display: inline-flex; gap: 0; }
.root .seg button { min-height: 20px; padding: 0 7px; border-radius: 0; font-size: 11px; line-height: 14px; margin-left: -1px; }
.root .seg button:first-child { border-radius: 4px 0 0 4px; margin-left: 0; } .root .seg button:last-child { border-radius: 0 4px 4px 0; }
.root .seg button[aria-selected="true"], .root .seg button[aria-pressed="true"] { background: var(--wb-ink); border-color: var(--wb-ink);
  color: var(--wb-surface); font-weight: 600; }
.strip-of { display: grid; grid-template-columns: repeat(10, minmax(0, 1fr)); gap: 4px; padding: 2px; margin: 0 -2px; }
.root .strip-of button { min-height: 0; min-width: 0; padding: 0; aspect-ratio: 1; border-radius: 2px; overflow: hidden; font-size: 11px; letter-spacing: -.3px; }
.root .strip-of button[aria-current="true"] { outline: 2px solid var(--wb-ink); outline-offset: 1px; }
.samples img { display: block; width: 100%; height: 100%; object-fit: contain; image-rendering: pixelated; }
.chart { position: relative; height: clamp(72px, 10vh, 150px); margin: 6px 0 15px 24px; border-bottom: 1px solid var(--wb-line-strong); }
.chart i { position: absolute; left: 0; right: 0; height: 0; border-top: 1px solid var(--wb-line); }
.chart i b { position: absolute; right: 100%; top: -7px; padding-right: 5px; font: inherit; font-style: normal; font-size: 11px; line-height: 14px;
  color: var(--wb-ink3); }
.cols { position: absolute; inset: 0; display: grid; grid-auto-flow: column; grid-auto-columns: minmax(0, 1fr); }
.col { position: relative; display: flex; align-items: flex-end; justify-content: center; gap: 1px; }
.col > div { width: 36%; max-width: 14px; min-height: 0; background: currentColor; }
.col > .teacher { background: repeating-linear-gradient(135deg, currentColor 0 2px, var(--wb-surface) 2px 3.5px); box-shadow: inset 0 0 0 1px currentColor; }
.col > span { position: absolute; top: 100%; left: -1px; right: -1px; text-align: center; font-size: 11px; line-height: 15px; color: var(--wb-ink3);
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.col > .truth { top: -11px; color: var(--wb-truth); line-height: 12px; }
.squares > div { min-width: 0; }
.squares { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 8px; }
.square { aspect-ratio: 1; border: 1px solid var(--wb-line-strong); background: var(--wb-sunken); overflow: hidden; }
.squares .wait { grid-column: 2 / 4; align-self: center; display: flex; flex-direction: column; gap: 6px; align-items: flex-start; }
.squares .wait .bar { width: 100%; }
.features { max-height: 128px; overflow: auto; } .features table { margin: 0; font-size: 11px; }
.features td { padding: 2px 0; font-weight: 400; }

.facts > * { display: inline-flex; gap: 4px; min-width: 0; white-space: nowrap; } .facts > :first-child, .facts .ink2 { flex: none; }
.cut { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; min-width: 0; }
.samples select { height: 20px; min-width: 0; max-width: 150px; border: 1px solid var(--wb-line-strong); border-radius: 4px; background: var(--wb-surface);
  color: var(--wb-ink); font: inherit; font-size: 11px; }
.samples select:focus-visible { outline: 2px solid var(--wb-ink); outline-offset: 1px; }
.samples .foot { margin-top: auto; padding-top: 2px; }
@media (pointer: coarse) { .root .seg button, .samples select { min-height: 32px; } }
`;

const THUMBNAILS = 10; // thumbnails in sight
const MEASURE_STOPS = [0, 0.25, 0.5, 0.7, 0.86, 1]; // stops of the measure scale
const CELLS = {
  both: ["both", "both right", (s, t) => s && t],
  teacher: ["T only", "only the teacher right", (s, t) => !s && t],
  student: ["S only", "only the student right", (s, t) => s && !t],
  neither: ["neither", "neither right", (s, t) => !s && !t],
};

const lowerTabs = (now) =>
  h("span", { class: "seg", role: "tablist", "aria-label": "Samples or result" },
    [["samples", "Samples"], ["result", "Result"]].map(([name, text]) =>
      h("button", { type: "button", role: "tab", "data-do": "lower", "data-lower": name, "aria-selected": String(name === now) }, text)));

// ---- what is said of one sample

const classNamed = (answers, k) => answers.names[k] ?? String(k);
const probability = (value) => (Number.isNaN(value) ? "not defined" : value > 0 && value < 0.001 ? "< 0.001" : value.toFixed(3));

function sampleOf(answers, id) {
  const row = answers.at.get(id);
  if (row === undefined) return null;
  const { width } = answers;
  const mine = answers.student.subarray(row * width, (row + 1) * width);
  const theirs = answers.teacher.subarray(row * width, (row + 1) * width);
  const classes = answers.classes ? answers.classes.subarray(row * width, (row + 1) * width) : mine.map((_, k) => k);
  const bars = Array.from(classes, (k, at) => ({ k, name: classNamed(answers, k), student: mine[at], teacher: theirs[at] }));
  const rest = (values) => Math.max(0, 1 - values.reduce((a, b) => a + b, 0));
  if (answers.classes) bars.push({ k: -1, name: "other", student: rest(mine), teacher: rest(theirs) });
  const [label, student, teacher] = [answers.labels[row], answers.student_class[row], answers.teacher_class[row]];
  return { id, row, label, student, teacher, bars, of: (k) => bars.find((bar) => bar.k === k) };
}

function whatHappened(answers, { label, student, teacher }) {
  const [s, t, y] = [student, teacher, label].map((k) => classNamed(answers, k));
  if (student === label && teacher === label) return `Both say ${y}, as the label does.`;
  if (teacher === label) return `Teacher ${t}, as the label; student ${s}. Still to learn.`;
  if (student === label) return `Student ${s}, as the label; teacher ${t}. Its own discovery.`;
  if (student === teacher) return `Both say ${s}; the label is ${y}. A copied error.`;
  return `Student ${s}, teacher ${t}; the label is ${y}. Two different errors.`;
}

// ---- pictures: small bitmaps as data addresses, so that a node keeps its picture while it is morphed

const tokenColour = (name) => {
  const hex = getComputedStyle(document.documentElement).getPropertyValue(`--wb-${name}`).trim().slice(1);
  return [0, 2, 4].map((k) => parseInt(hex.slice(k, k + 2), 16));
};
const mixedColour = (a, b, part) => a.map((value, k) => value + (b[k] - value) * part);

function bitmapOf(width, height, colour) {
  const canvas = h("canvas", { width, height });
  const pen = canvas.getContext("2d");
  const image = pen.createImageData(width, height);
  for (let k = 0; k < width * height; k++) image.data.set([...colour(k), 255], 4 * k);
  pen.putImageData(image, 0, 0);
  return canvas.toDataURL();
}

function pictureOf(sheet, id) {
  const row = sheet.at.get(id);
  if (row === undefined || sheet.kind !== "image") return null;
  if (!sheet.drawn.has(id)) {
    const [, channels, height, width] = sheet.shape;
    const pixels = sheet.values.subarray(row * sheet.each, (row + 1) * sheet.each);
    const [paper, ink] = [tokenColour("sunken"), tokenColour("ink")];
    const area = width * height;
    sheet.drawn.set(id, bitmapOf(width, height, (k) => (channels === 3 ? [pixels[k], pixels[area + k], pixels[2 * area + k]]
      : sheet.strokes ? mixedColour(paper, ink, pixels[k] / 255) : Array(3).fill(pixels[k]))));
  }
  return sheet.drawn.get(id);
}

function mapPicture(values, [height, width]) {
  const stops = MEASURE_STOPS.map((_, k) => tokenColour(`measure${k}`));
  const bytes = Uint8Array.from(atob(values), (letter) => letter.charCodeAt(0));
  const ramp = Array.from({ length: 256 }, (_, value) => {
    const at = value / 255;
    const k = Math.max(1, MEASURE_STOPS.findIndex((stop) => at <= stop));
    return mixedColour(stops[k - 1], stops[k], (at - MEASURE_STOPS[k - 1]) / (MEASURE_STOPS[k] - MEASURE_STOPS[k - 1]));
  });
  const top = bytes.reduce((best, value, k) => (value > bytes[best] ? k : best), 0);
  return { address: bitmapOf(width, height, (k) => ramp[bytes[k]]), where: `row ${Math.floor(top / width) + 1}, column ${(top % width) + 1}` };
}

// ---- the card

function samples(state, own) {
  const card = (...inside) => h("div", { class: "root card samples", "data-lower": "samples" }, inside);
  const told = own.look?.answers && sampleOf(own.look.answers, own.look.sample);
  const title = () => (told ? figureTitle(own, "sample", "Sample inspector", null, () => sampleSheet(told)) : h("h2", { class: "title" }, "Sample inspector"));
  const head = () => h("div", { class: "row" }, title(), lowerTabs("samples"));
  if (!state.run) return h("div", { class: "root card samples" });
  const look = own.look ?? {};
  const { answers } = look;
  const say = (text) => card(head(), h("p", { class: "read" }, text));
  if (own.named) return card(head(), namedSamples(own.named));
  if (state.waits) return say(state.waits);
  if (look.trouble) return say(`The answers are not here: ${look.trouble}.`);
  if (!answers) return say("Reads what both models answer to each sample.");
  if (answers.missing) return say(answers.missing);
  const cells = Object.entries(CELLS).map(([name, [text, words]]) => h("button", { type: "button", "data-pick": "cell", "data-cell": name,
    "aria-pressed": String(look.cell === name), title: words }, text));
  if (look.selected) cells.unshift(h("button", { type: "button", "data-pick": "cell", "data-cell": "selected",
    "aria-pressed": String(look.cell === "selected"), title: look.selected.how }, `selected ${look.selected.ids.length}`));
  const list = look.order ?? [];
  const count = `${spaced(list.length)} ${list.length === 1 ? "sample" : "samples"}`;
  const picks = h("div", { class: "row" }, h("span", { class: "seg", role: "group", "aria-label": "Which samples" }, cells),
    h("span", { class: "small ink3 cut", title: "Ordered by the student's probability of its own answer" }, look.cell === "selected" ? "surest first" : `${count}${look.selected ? "" : ", surest first"}`));
  const gap = Math.max(...Object.values((state.maps?.sample === look.sample && state.maps.head.gap) || {}), -1);
  const foot = `n = ${spaced(answers.n)} probe · step ${spaced(answers.step)} · raw, T = 1${gap >= 0 ? ` · gap ≤ ${gap.toPrecision(1)} logit` : ""}`;
  const one = told;
  if (!one) return card(head(), h("p", { class: "read" }, "No sample is in this cell at this step."), picks, h("div", { class: "foot" }, foot));
  return card(head(), h("div", { class: "read", "aria-live": "polite" }, whatHappened(answers, one)), sampleStrip(look, list), picks,
    sampleFacts(answers, one), sampleChart(one), sampleRatios(answers, one), sampleInside(state, look, answers, one),
    h("div", { class: "foot" }, foot, mapsOf(state, look, one).done ? h("div", {}, madeBy(state, mapsOf(state, look, one).done)) : null));
}

// What both models answer to it, as a table.
const sampleSheet = ({ id, bars }) => ({
  title: `Sample ${id}`, columns: ["class", "probability, student", "probability, teacher"],
  rows: bars.map(({ name, student, teacher }) => [name, student, teacher]),
});

function sampleStrip(look, list) {
  const place = Math.max(0, list.indexOf(look.sample));
  const first = Math.floor(place / THUMBNAILS) * THUMBNAILS;
  return h("div", { class: "strip-of", role: "group", "aria-label": "Samples, J next, K previous" }, list.slice(first, first + THUMBNAILS).map((id) => {
    const picture = look.sheet && !look.sheet.trouble ? pictureOf(look.sheet, id) : null;
    return h("button", { type: "button", "data-pick": "sample", "data-id": id, "aria-label": `Sample ${id}`, title: `Sample ${id}`,
      "aria-current": String(id === look.sample), tabindex: id === look.sample || (place === 0 && id === list[0]) ? 0 : -1 },
    picture ? h("img", { src: picture, alt: "" }) : String(id));
  }));
}

function sampleFacts(answers, one) {
  const said = (who, letter, k) => h("span", { title: `${who}'s answer ${classNamed(answers, k)} and its probability` },
    h("span", { class: "cut" }, marked(who, `${letter} ${classNamed(answers, k)}`)), h("span", { class: "ink2" }, probability(one.of(k)?.[who] ?? NaN)));
  return h("div", { class: "small row facts" }, h("span", { class: "ink3" }, `no. ${one.id}`),
    h("span", { title: classNamed(answers, one.label) }, h("span", { class: "cut" }, marked("truth", `label ${classNamed(answers, one.label)}`))),
    said("student", "S", one.student), said("teacher", "T", one.teacher));
}

// A few letters under each bar; class numbers where these would not tell the classes apart.
function barLetters(bars) {
  const names = bars.map(({ name }) => name);
  if (names.every((name) => name.length <= 3 || name === "other")) return names.map((name) => (name === "other" ? "rest" : name));
  const cut = bars.map(({ k, name }) => (k < 0 ? "rest" : name.slice(0, 3)));
  return new Set(cut).size === cut.length ? cut : bars.map(({ k }) => (k < 0 ? "rest" : String(k)));
}

function sampleChart(one) {
  const short = barLetters(one.bars);
  const words = [...one.bars].sort((a, b) => Math.max(b.student, b.teacher) - Math.max(a.student, a.teacher)).slice(0, 4)
    .map((bar) => `${bar.name}: student ${probability(bar.student)}, teacher ${probability(bar.teacher)}`);
  const bar = (who, value) => h("div", { class: who, style: `height:${100 * (value || 0)}%` });
  return h("div", { class: "chart", role: "img", "aria-label": `Class probability. ${words.join("; ")}.` },
    [[0, "1"], [50, ".5"], [100, "0"]].map(([top, text]) => h("i", { style: `top:${top}%` }, h("b", {}, text))),
    h("div", { class: "cols" }, one.bars.map((each, at) => h("div", { class: "col", title: `${each.name}: S ${probability(each.student)}, T ${probability(each.teacher)}` },
      each.k === one.label ? h("span", { class: "truth" }, MARK.truth) : null,
      bar("student", each.student), bar("teacher", each.teacher), h("span", {}, short[at])))));
}

function sampleRatios(answers, one) {
  return answers.ratioNames.map((name) => h("div", { class: "small row" }, h("span", { class: "ink2" }, `ratio of ${name}: share of its first loss`),
    h("b", {}, probability(answers[`ratio.${name}`][one.row]))));
}

// The input, and both maps if they are asked for.
function sampleInside(state, look, answers, one) {
  const { sheet } = look;
  if (!sheet) return h("p", { class: "small ink3" }, "Reads the samples.");
  if (sheet.trouble) return [h("p", { class: "small ink2" }, `The samples are not here: ${sheet.trouble}`),
    h("div", {}, h("button", { type: "button", "data-pick": "reread" }, "Try again"))];
  const { maps, done } = mapsOf(state, look, one);
  return [mapQuestion(state, look, answers, one), sheet.kind === "row" ? featureTable(sheet, one, done) : threeSquares(sheet, answers, one, done, maps, look),
    sheet.kind === "row" && !done ? h("div", {}, mapProgress(maps)) : null, done ? mapsAlike(done.head) : null];
}

// What was told of this very question, and the last maps that answer it: they stay while newer ones are made.
function mapsOf(state, look, one) {
  const fits = (maps) => maps?.sample === one.id && maps.method === look.method && maps.target === look.target;
  const maps = fits(state.maps) ? state.maps : null;
  if (maps?.state === "done") look.done = maps;
  return { maps, done: fits(look.done) ? look.done : null };
}

function mapQuestion(state, look, answers, one) {
  const options = (list, now) => list.map(([value, text]) => h("option", { value, selected: value === now }, text));
  const about = [["label", `label ${classNamed(answers, one.label)}`], ["student", `S's ${classNamed(answers, one.student)}`], ["teacher", `T's ${classNamed(answers, one.teacher)}`]];
  return h("div", { class: "small row" }, h("span", { class: "ink3", style: "flex:none" }, "what speaks for"),
    h("select", { "data-pick": "target", "aria-label": "Class that both models are asked about" }, options(about, look.target)),
    h("select", { "data-pick": "method", "aria-label": "Method of attribution" }, options(state.methods.map(([name, text]) => [name, text.split(", ")[0]]), look.method)));
}

function threeSquares(sheet, answers, one, done, maps, look) {
  const square = (address, alt, name) => h("div", {}, h("div", { class: "square" }, address ? h("img", { src: address, alt }) : null), h("div", { class: "small cut" }, name));
  const picture = pictureOf(sheet, one.id);
  const input = square(picture, `Sample ${one.id}, ${sheet.full.join(" by ")} pixels, label ${classNamed(answers, one.label)}`, h("span", { class: "ink3" }, "input"));
  if (!done) return h("div", { class: "squares" }, input, h("div", { class: "wait" }, mapProgress(maps)));
  const name = classNamed(answers, done.head.target);
  return h("div", { class: "squares" }, input, ["student", "teacher"].map((who, k) => {
    const key = `${done.values[k].length} ${document.documentElement.dataset.theme}`;
    if (look.made?.values !== done.values || look.made.key !== key) look.made = { values: done.values, key, of: done.values.map((one) => mapPicture(one, done.head.shape)) };
    const { address, where } = look.made.of[k];
    return square(address, `Map of the ${who} for ${name}: largest at ${where}, ${done.head.tops[k].toPrecision(2)} logit`, marked(who, `${"ST"[k]} for ${name}`));
  }));
}

// Before the maps are there: a press, how far they are, or why there are none.
function mapProgress(maps) {
  const start = (text) => h("button", { type: "button", "data-pick": "explain" }, text);
  if (!maps || maps.state === "cancelled") return start("Show where both look");
  if (maps.state === "refused") return [h("span", { class: "small ink2", role: "status" }, maps.head.words), start("Try again")];
  const { words, done, of } = maps.head;
  return [h("span", { class: "small ink2", role: "status" }, of ? `${words}: ${done} of ${of}` : words),
    h("div", { class: "bar" }, h("div", { style: `width:${of ? (100 * done) / of : 0}%` })),
    h("button", { type: "button", "data-pick": "unexplain" }, "Cancel")];
}

function featureTable(sheet, one, done) {
  const row = sheet.at.get(one.id);
  if (row === undefined) return null;
  const values = sheet.values.subarray(row * sheet.each, (row + 1) * sheet.each);
  const of = Array.from(values, (value, k) => ({ name: sheet.features[k], value, student: done?.values[0][k], teacher: done?.values[1][k] }));
  if (done) of.sort((a, b) => Math.max(b.student, b.teacher) - Math.max(a.student, a.teacher));
  const cell = (who, value) => h("td", { class: who }, value.toFixed(2));
  return h("div", { class: "features", tabindex: 0, role: "region", "aria-label": "Features of this sample" }, h("table", {},
    h("thead", {}, h("tr", {}, h("th", {}, "feature"), h("th", {}, "value"), done ? [h("th", {}, marked("student", "S")), h("th", {}, marked("teacher", "T"))] : null)),
    h("tbody", {}, of.map((each) => h("tr", {}, h("td", {}, each.name), h("td", {}, String(+each.value.toPrecision(3))),
      done ? [cell("student", each.student), cell("teacher", each.teacher)] : null)))));
}

function mapsAlike(head) {
  const number = (value) => (value === null ? "not defined" : value.toFixed(2).replace("-", "\u2212"));
  const chance = head.similarity !== null && head.null_p95 !== null && head.similarity <= head.null_p95;
  return h("div", { class: "small row", title: `Cosine of signed maps (of magnitudes for saliency); null: ${head.null_pairs} pairs of maps of different samples, each for its own label` },
    h("span", {}, "S–T map similarity"), h("span", { class: "ink3" }, h("b", { style: "color:var(--wb-ink)" }, `${number(head.similarity)}${chance ? " n.s." : ""}`),
      ` shuffled ${number(head.null_median)}, p95 ${number(head.null_p95)}`));
}

function madeBy({ methods }, { head, method }) {
  const words = methods.find(([name]) => name === method)?.[1] ?? method;
  const [name, ...more] = words.split(", ");
  return [`|${name}|`, ...more, "cosine"].join(", ") + ` · S of checkpoint ${spaced(head.step)}`;
}
