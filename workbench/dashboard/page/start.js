// The start page: the quickstart, recipes, recent runs, colours, the command line.

const START = `
.start { display: grid; grid-template-columns: 200px minmax(0, 1fr) 320px; gap: 12px; max-width: 1440px; margin: 0 auto; padding: 12px; }
.col { display: flex; flex-direction: column; gap: 12px; min-width: 0; }
.hero { padding: 16px; display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: 20px; }
h1 { margin: 0 0 4px; font-size: 20px; line-height: 26px; font-weight: 600; }
.hero p { margin: 0; max-width: 62ch; color: var(--wb-ink2); }
.hero table { border-collapse: collapse; margin: 14px 0 0; }
.hero td, .hero th { padding: 3px 22px 3px 0; text-align: left; font-weight: 400; }
.hero th { color: var(--wb-ink3); font-size: 11px; }
.go { display: flex; align-items: center; gap: 12px; margin-top: 16px; }
.root .go button { min-height: 32px; padding: 0 18px; font-size: 13px; }
kbd { font: 11.5px ui-monospace, Menlo, Consolas, "Liberation Mono", monospace; }
.hero .picture { align-self: center; width: 300px; height: 176px; }
.picture .s { fill: var(--wb-student); } .picture rect.t { fill: var(--wb-teacher); } .picture path.g:not(.pull) { fill: var(--wb-truth); }
.picture text.student { fill: var(--wb-student); } .picture text.teacher { fill: var(--wb-teacher); }
.picture text.truth { fill: var(--wb-truth); }
.watched { display: block; margin: 4px 0 0; }
.watched dt { font-weight: 600; color: var(--wb-ink); margin-top: 5px; } .watched dd { margin: 0; text-align: left; color: var(--wb-ink2); }
.root a.look { display: inline-flex; align-items: center; min-height: 32px; padding: 0 12px; border: 1px solid var(--wb-line-strong); border-radius: 5px; text-decoration: none; white-space: nowrap; }
.root a.look:hover { border-color: var(--wb-ink3); }
.root a.all { text-decoration: none; color: var(--wb-ink2); } .root a.all:hover { text-decoration: underline; }
.picture .edge { fill: none; stroke: var(--wb-line-strong); stroke-dasharray: 4 3; }
.picture .pull { fill: none; stroke-width: 2; }
.picture .pull.t { stroke: var(--wb-teacher); } .picture .pull.g { stroke: var(--wb-truth); }
.picture text { font-size: 11px; }
.runs { padding: 0; }
.runs > .row { padding: 10px 12px; }
.run { display: grid; grid-template-columns: 16px minmax(0, 1fr) auto; gap: 1px 8px; padding: 8px 12px; text-decoration: none;
  border-top: 1px solid var(--wb-line); }
.run:hover { background: var(--wb-sunken); }
.run b, .run .small { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.called { display: flex; gap: 5px; min-width: 0; white-space: nowrap; } .called > span { flex: none; }
.run .small { color: var(--wb-ink2); }
.run .small .failed { color: var(--wb-error); }
.run > :nth-child(4) { grid-column: 2; }
.run > :nth-child(3), .run > :nth-child(5) { text-align: right; }
.line { display: grid; grid-template-columns: auto minmax(0, 1fr); align-items: start; border-top: 1px solid var(--wb-line); }
.line .run { border-top: 0; padding-left: 6px; }
.line input { margin: 9px 0 0 12px; accent-color: var(--wb-ink); }
.go-compare { font-weight: 600; }
.runs .foot { padding: 8px 12px; border-top: 1px solid var(--wb-line); }
.empty { padding: 4px 12px 18px; border-top: 1px solid var(--wb-line); }
.legend { display: grid; grid-template-columns: auto 1fr; gap: 5px 14px; margin-top: 8px; }
.legend > :nth-child(odd) { font-weight: 600; }
.legend .mark { display: inline-block; min-width: 15px; padding: 0 3px; border-radius: 3px; background: var(--wb-ink); color: var(--wb-surface); font-size: 11px; text-align: center; }
pre { margin: 8px 0 0; padding: 8px; border-radius: 4px; background: var(--wb-sunken); white-space: pre-wrap; }
.warn { padding: 10px 12px; border: 1px solid var(--wb-attention-edge); border-radius: 6px; background: var(--wb-attention); }
.hero td:first-child { white-space: nowrap; }
@media (max-width: 1199px) { .hero .picture { display: none; } }
@media (max-width: 899px) { .hero { grid-template-columns: minmax(0, 1fr); } }
@media (max-width: 1199px) { .start { grid-template-columns: 168px minmax(0, 1fr); } .start > .right { grid-column: 2; } }
@media (max-width: 899px) { .start { grid-template-columns: minmax(0, 1fr); } .start > .right { grid-column: 1; } .start > .right { order: 3; }
  .start > .col:not(.right) { display: contents; } .start > .col:not(.right) > :not(.hero, .warn) { order: 2; }
  .start > .facets { order: 1; flex-flow: row wrap; align-items: start; } .start > .facets > .filter { width: 100%; } .start > .facets fieldset { min-width: 150px; } }
`;

function hero({ models, loss, summary, data, about, expected, scored: scoredBy }, own, may) {
  const known = models.every((model) => model.weights);
  const [teacher, student] = models;
  const head = known
    ? `Distil ${teacher.weights} weights into ${student.weights}, now`
    : "Distil a trained network into a small one, now";
  const scored = models.some((model) => model.accuracy);
  const rows = models.map((model) =>
    h("tr", {}, h("td", {}, h("b", {}, marked(model.who, model.who[0].toUpperCase() + model.who.slice(1)))),
      h("td", {}, model.name), h("td", {}, model.weights), h("td", {}, h("b", { class: model.who }, model.accuracy))));
  const heads = ["", "network", models.some((model) => model.weights) ? "weights" : "", scored ? scoredBy : ""];
  return h("section", { class: "card hero" },
    h("div", {}, h("h1", {}, head), h("p", {}, summary),
      h("table", {}, h("thead", {}, h("tr", {}, heads.map((text) => h(text ? "th" : "td", {}, text)))), h("tbody", {}, rows)),
      h("p", { class: "small", style: "margin-top:8px" }, h("span", { class: "code" }, pieces(loss)), ` · ${data}`),
      h("div", { class: "go" },
        may ? h("button", { type: "button", class: "primary", "data-do": "start", disabled: own.starting, "aria-label": "Start" },
          icon("▶"), "Start") : null,
        h("a", { class: "look", href: "?new=quickstart" }, may ? "Look inside first" : "Look inside"),
        h("span", { class: "ink2" }, !may ? "This page may only look; nothing is started here." : own.starting ? "Starting…" : [`${about} · key `, h("kbd", {}, "Enter")]))),
    expected ? expectation(expected) : idea(loss));
}

// The idea in one picture: the student between teacher and truth, each term an arrow in its colour.
function idea(loss) {
  const said = (colour) => loss.filter((piece) => piece.colour === colour).map((piece) => piece.text).join(", ");
  const text = (x, y, content, colour, anchor = "middle") =>
    h("text", { x, y, "text-anchor": anchor, class: colour }, content);
  return h("svg", { class: "picture", viewBox: "0 0 300 176", role: "img",
    "aria-label": "The student is pulled towards the teacher and towards the labels" },
    h("path", { class: "edge", d: "M52 140H248" }),
    h("path", { class: "pull t", d: "M160 46 234 124m-12 -3 12 3 -2 -12" }),
    h("path", { class: "pull g", d: "M140 46 66 124m2 -12 -2 12 12 -3" }),
    h("circle", { class: "s", cx: 150, cy: 34, r: 10 }),
    h("rect", { class: "t", x: 240, y: 131, width: 18, height: 18 }),
    h("path", { class: "g", d: "M52 129 63 140 52 151 41 140Z" }),
    text(150, 16, "student", "student"), text(249, 168, "teacher", "teacher"), text(52, 168, "labels", "truth"),
    text(206, 76, said("teacher"), "teacher", "start"), text(94, 76, said("truth"), "truth", "end"));
}

const WATCHED = [
  ["Layer similarity", "Which layers of both networks come to find the same samples alike."],
  ["Student · Teacher · Truth", "Each sample as a point between the three: how wrong, and wrong like whom."],
  ["Calibration", "Whether the student may be believed when it is sure."],
  ["Loyalty and knowledge", "Where it follows the teacher, and where it should not have."],
  ["Curves", "How right both are, and what each term of the loss still costs."],
];

const watched = () =>
  h("section", { class: "card", "data-key": "watched" }, h("h2", { class: "title" }, "What you will see, live"),
    h("dl", { class: "watched" }, WATCHED.map(([name, text]) => [h("dt", {}, name), h("dd", {}, text)])));

function recent(runs, own, may) {
  const chosen = runs.map((run) => run.run).filter((run) => own.chosen?.includes(run));
  const rows = runs.map((run) =>
    h("div", { class: "line", "data-key": run.run },
      h("input", { type: "checkbox", "data-do": "choose", "data-chosen": run.run, checked: chosen.includes(run.run),
        "aria-label": `Compare ${run.name}, seed ${run.seed}`, title: "Choose for Compare" }),
      h("a", { class: "run", href: `?run=${encodeURIComponent(run.run)}` },
        icon(run.icon), h("div", { class: "called" }, h("b", { title: run.name }, run.name), h("span", { class: "ink3" }, `seed ${run.seed}`)),
        h("b", { class: "student" }, run.accuracy || "–"),
        h("span", { class: "small" }, h("span", { class: run.status }, run.word), run.step ? ` · ${run.step}` : ""),
        h("span", { class: "small" }, run.of || "\u00a0"))));
  const body = runs.length
    ? [rows, h("div", { class: "foot small ink3" }, "Student accuracy: on test once done, on probe before.")]
    : h("div", { class: "empty" }, nothingYet("No runs yet", DEMO, own, { may, primary: false })); // the hero has the first button
  return h("section", { class: "card runs", "data-key": runs.length ? "runs" : "empty" },
    h("div", { class: "row" }, h("h2", { class: "title" }, "Recent runs"),
      chosen.length ? h("a", { class: "go-compare", href: `?compare=${chosen.map(encodeURIComponent).join(",")}` },
        chosen.length > 1 ? `Compare ${chosen.length} runs` : "Compare with…")
        : runs.length ? h("a", { class: "all", href: "?runs=" }, "all runs →") : null), body);
}

function start(state, own) {
  if (!state.hero) return h("div", { class: "root" });
  const [wanted, may] = [wantedRecipes(state.facets), state.may !== false];
  const missing = state.missing
    ? h("div", { class: "warn", role: "alert" }, state.missing.text, " ",
        h("a", { href: "./" }, "Go to the start page"))
    : null;
  const refused = state.refused ? h("div", { class: "warn", role: "alert" }, state.refused) : null;
  const legend = [
    [marked("student", "S student"), "the small network that learns"],
    [marked("teacher", "T teacher"), "the large network, frozen"],
    [marked("truth", "G truth"), "the label"],
    [h("span", { class: "mark" }, "1"), "something you changed while it ran"],
  ].map(([name, text]) => [h("span", {}, name), h("span", { class: "ink2" }, text)]);
  return h("div", { class: "root start" },
    recipeFacets(state, wanted),
    h("div", { class: "col" }, missing, refused, hero(state.hero, own, may), recipeGrid(state, wanted, own)),
    h("div", { class: "col right" }, recent(state.runs ?? [], own, may), bringYourOwn(),
      h("section", { class: "card" }, h("h2", { class: "title" }, "Colours, everywhere"), h("div", { class: "legend" }, legend)),
      watched()));
}
