// Recipes on the start page: facets and a filter on the left, cards in the middle, what to expect in the hero.
// What is chosen stands in the address; counts say what one more choice would leave.

const RECIPES = `
.facets { display: flex; flex-direction: column; gap: 14px; }
.root .facets input { width: 100%; height: 26px; padding: 0 24px 0 8px; font: inherit; color: var(--wb-ink); background: var(--wb-surface);
  border: 1px solid var(--wb-line-strong); border-radius: 5px; }
.root .facets input:focus-visible { outline: 2px solid var(--wb-ink); outline-offset: 1px; }
.filter { position: relative; } .filter kbd { position: absolute; right: 8px; top: 5px; color: var(--wb-ink3); }
.facets fieldset { margin: 0; padding: 0; border: 0; min-width: 0; } .facets legend { padding: 0 0 4px; font-size: 11px; color: var(--wb-ink3); }
.root .facets fieldset button { display: flex; justify-content: space-between; width: 100%; min-height: 24px; padding: 0 7px; border-color: transparent; background: none; }
.root .facets fieldset button:hover { background: var(--wb-sunken); }
.root .facets fieldset button[aria-pressed="true"] { background: var(--wb-surface); border-color: var(--wb-line-strong); font-weight: 600; }
.root .facets fieldset button:disabled { color: var(--wb-ink3); }
.sorts { display: inline-flex; border: 1px solid var(--wb-line-strong); border-radius: 5px; overflow: hidden; }
.root .sorts button { min-height: 22px; padding: 0 9px; border: 0; border-radius: 0; font-size: 11px; }
.root .sorts button + button { border-left: 1px solid var(--wb-line-strong); }
.root .sorts button[aria-pressed="true"] { background: var(--wb-ink); color: var(--wb-surface); }
.root .sorts button:focus-visible { outline-offset: -3px; }
.cards3 { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 8px; }
.recipe { position: relative; display: flex; flex-direction: column; gap: 3px; min-height: 128px; }
.recipe:hover { border-color: var(--wb-line-strong); }
.recipe:focus-within { outline: 2px solid var(--wb-ink); outline-offset: 1px; }
.recipe h3 { min-width: 0; } .recipe h3 a { text-decoration: none; outline: none; }
.recipe h3 a::after { content: ""; position: absolute; inset: 0; border-radius: 6px; }
.recipe .file { color: var(--wb-ink3); white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.recipe p { margin: 0; } .recipe .what { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; overflow: hidden; }
.recipe .loss { margin: 6px 0 8px; overflow-wrap: anywhere; }
.recipe .foot { margin-top: auto; padding-top: 7px; border-top: 1px solid var(--wb-line); font-size: 11px; line-height: 14px; gap: 6px 10px; flex-wrap: wrap; }
.root .recipe .now { position: absolute; right: 8px; top: 8px; z-index: 1; min-height: 22px; opacity: 0; }
.recipe:is(:hover, :focus-within) .now { opacity: 1; }
.recipe:is(:hover, :focus-within) .file { visibility: hidden; }
.expect { width: 304px; border-left: 1px solid var(--wb-line); padding-left: 14px; align-self: stretch; display: flex; flex-direction: column; gap: 4px; }
.expect svg { width: 100%; height: auto; } .expect svg text { font-size: 11.5px; fill: var(--wb-ink3); }
.expect .axis { fill: none; stroke: var(--wb-line-strong); } .expect .grid { fill: none; stroke: var(--wb-line); }
.expect .band { fill: var(--wb-student); opacity: .18; stroke: none; } .expect .band.control { fill: var(--wb-ink3); opacity: .25; }
.expect .line { fill: none; stroke: var(--wb-student); stroke-width: 1.6; } .expect .line.control { stroke: var(--wb-ink2); stroke-dasharray: 2 2.5; }
.expect .line.teacher { stroke: var(--wb-teacher); stroke-dasharray: 6 4; }
.expect svg text.student { fill: var(--wb-student); } .expect svg text.teacher { fill: var(--wb-teacher); } .expect svg text.control { fill: var(--wb-ink2); }
.drop { border-style: dashed; } .drop.over { border-color: var(--wb-ink); background: var(--wb-sunken); }
.root .own :is(a, .file-pick) { display: block; position: relative; cursor: pointer; margin-top: 6px; padding: 4px 10px; border: 1px solid var(--wb-line-strong); border-radius: 5px; text-decoration: none; }
.root .file-pick:focus-within { outline: 2px solid var(--wb-ink); outline-offset: 1px; }
.root .own :is(a, .file-pick):hover { border-color: var(--wb-ink3); }
@media (max-width: 1279px) { .cards3 { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
@media (max-width: 899px) { .expect { border-left: 0; padding-left: 0; width: 300px; } }
@media (max-width: 699px) { .cards3 { grid-template-columns: minmax(0, 1fr); } }
@media (pointer: coarse) { .root .recipe .now { opacity: 1; } .recipe .file { display: none; } }
`;

const RECIPE_SORTS = { year: "by year", gain: "by gain", time: "by time" };

// What the address asks for: facets by name, words, order.
function wantedRecipes(facets) {
  const asked = new URLSearchParams(location.search);
  return {
    find: asked.get("find") ?? "",
    sort: asked.get("sort") in RECIPE_SORTS ? asked.get("sort") : "year",
    chosen: Object.fromEntries(facets.map(({ name }) => [name, asked.get(name) ?? ""])),
  };
}

function recipeAddress({ find, sort, chosen }) {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(chosen)) if (value) asked.set(name, value);
  if (find) asked.set("find", find);
  if (sort !== "year") asked.set("sort", sort);
  return String(asked) ? `?${asked}` : location.pathname;
}

function matches(card, { find, chosen }) {
  const text = `${card.name} ${card.title} ${card.summary} ${card.paper} ${card.loss.map((piece) => piece.text).join("")}`.toLowerCase();
  return find.toLowerCase().split(/\s+/).every((word) => text.includes(word))
    && Object.entries(chosen).every(([name, value]) => !value || card.tags[name].includes(value));
}

const known = (value) => value !== null && value !== undefined;
const RECIPE_ORDERS = {
  year: (a, b) => b.year - a.year || a.name.localeCompare(b.name),
  gain: (a, b) => known(b.gain) - known(a.gain) || (b.gain ?? 0) - (a.gain ?? 0) || RECIPE_ORDERS.year(a, b),
  time: (a, b) => known(b.seconds) - known(a.seconds) || (a.seconds ?? 0) - (b.seconds ?? 0) || RECIPE_ORDERS.year(a, b),
};

function recipeFacets(state, wanted) {
  const groups = state.facets.map(({ name, title, values }) => {
    const buttons = values.map((value) => {
      const on = wanted.chosen[name] === value;
      const left = state.recipes.filter((card) => matches(card, { ...wanted, chosen: { ...wanted.chosen, [name]: value } })).length;
      if (!left && !on && !state.recipes.some((card) => card.tags[name].includes(value))) return null;
      return h("button", { type: "button", "data-facet": name, "data-value": on ? "" : value, "aria-pressed": String(on), disabled: !left && !on },
        h("span", {}, value), h("span", {}, left));
    });
    return h("fieldset", { "data-key": name }, h("legend", {}, title), buttons);
  });
  const number = state.recipes.length;
  return h("div", { class: "facets", role: "search", "aria-label": "Recipes" },
    h("div", { class: "filter" }, h("input", { type: "search", "data-filter": "", value: wanted.find, placeholder: `Filter ${number} recipes`,
      "aria-label": `Filter ${number} recipes`, autocomplete: "off", spellcheck: "false" }), wanted.find ? null : h("kbd", { "aria-hidden": "true" }, "/")),
    groups);
}

function recipeCard(card, own, may) {
  const gain = card.gain_words
    ? h("span", { title: card.gain_note }, h("b", {}, card.gain_words), `, ${card.gain_of}`)
    : h("span", { class: "ink2" }, card.time ? "no control here" : "not run here");
  return h("article", { class: "card recipe", "data-card": card.name, "data-key": card.name },
    h("div", { class: "row" }, h("h3", { class: "title" }, h("a", { href: `?new=${encodeURIComponent(card.name)}`, title: card.summary }, card.title)),
      h("span", { class: "code file" }, card.file)),
    may ? h("button", { type: "button", class: "now", "data-do": "recipe", "data-recipe": card.name, disabled: own.starting,
      "aria-label": `Start ${card.name}`, title: "Start at once (Shift+Enter)", tabindex: -1 }, icon("▶"), "Start") : null,
    h("p", { class: "ink2 what" }, card.short),
    h("p", { class: "code loss" }, pieces(card.loss)),
    card.way ? h("p", { class: "small ink3" }, `stages: ${card.way}`) : null,
    h("div", { class: "row foot" }, h("span", { class: "ink2" }, card.sees),
      card.time ? h("span", { title: card.slow ? "Measured here, in slow motion" : "Measured here" }, icon("◷"), card.time, card.slow ? " slow" : "") : null, gain));
}

function recipeGrid(state, wanted, own) {
  const found = state.recipes.filter((card) => matches(card, wanted)).sort(RECIPE_ORDERS[wanted.sort]);
  const said = Object.values(wanted.chosen).filter(Boolean).map((value) => value.toLowerCase());
  const words = found.length === state.recipes.length ? "" : ` · ${found.length} match${found.length === 1 ? "es" : ""}${said.length ? `: ${said.join(", ")}` : ""}`;
  return [
    h("div", { class: "row", "data-key": "recipes-head", style: "align-items:center" },
      h("span", { class: "row", style: "gap:10px" }, h("h2", { class: "title" }, "Recipes"),
        h("span", { class: "ink2", role: "status" }, `one readable file per paper${words}`)),
      h("span", { class: "sorts", role: "group", "aria-label": "Order" }, Object.entries(RECIPE_SORTS).map(([name, text]) =>
        h("button", { type: "button", "data-sort": name, "aria-pressed": String(wanted.sort === name) }, text)))),
    found.length ? h("div", { class: "cards3", "data-key": "cards" }, found.map((card) => recipeCard(card, own, state.may !== false)))
      : h("p", { class: "ink2", "data-key": "none" }, "No recipe has all that. Take a filter away.")];
}

// Curves of earlier seeds here: mean, and the lowest and highest as a band.
function expectation(told) {
  const [left, right, low, high] = [30, 226, 12, 132];
  // The first tenth climbs from chance and would take all the height: the axis begins after it.
  const later = (points) => points.filter(([step]) => step >= told.steps / 10);
  const values = told.curves.flatMap(({ points }) => later(points).flatMap(([, a, , b]) => [a, b])).concat(told.teacher ?? []);
  const floor = Math.max(Math.floor((Math.min(...values) - 0.02) * 10) / 10, 0);
  const top = Math.min(Math.ceil((Math.max(...values) + 0.005) * 20) / 20, 1);
  const x = (step) => left + ((right - left) * step) / told.steps;
  const y = (value) => high - ((high - low) * (value - floor)) / (top - floor || 1);
  const at = (list) => list.map(([a, b]) => `${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("L");
  const write = (px, py, words, kind = "", anchor = "start") => h("text", { x: px, y: py, class: kind, "text-anchor": anchor }, words);
  const ticks = [floor, (floor + top) / 2, top];
  const drawn = told.curves.map(({ name, points }) => {
    const kind = name === "control" ? " control" : "";
    const edge = [...points.map(([s, a]) => [s, a]), ...points.map(([s, , , b]) => [s, b]).reverse()];
    return [told.seeds > 1 ? h("path", { class: `band${kind}`, d: `M${at(edge)}Z` }) : null,
      h("path", { class: `line${kind}`, d: `M${at(points.map(([s, , m]) => [s, m]))}` })];
  });
  const labels = told.curves.map(({ name, words, points }) => ({ words, kind: name, y: y(points.at(-1)[2]) + 4 }));
  if (told.teacher !== null) labels.push({ words: "teacher", kind: "teacher", y: y(told.teacher) + 4 });
  labels.sort((a, b) => a.y - b.y).forEach((label, k, all) => { if (k) label.y = Math.max(label.y, all[k - 1].y + 12); });
  const seeds = `${told.seeds} earlier seed${told.seeds > 1 ? "s" : ""}`;
  const last = told.curves.map(({ words, points }) => `${words} ${Math.round(1000 * points.at(-1)[2]) / 10} %`).join(", ");
  return h("div", { class: "expect", "data-expected": told.seeds },
    h("div", {}, `Expected, from ${seeds} on this machine`),
    h("svg", { viewBox: "0 0 300 160", role: "img", "aria-label": `Accuracy over steps, from ${seeds}: ${last} at the end` },
      ticks.map((tick) => [h("path", { class: "grid", d: `M${left} ${y(tick)}H${right}` }), write(left - 5, y(tick) + 4, `${Math.round(100 * tick)}`, "", "end")]),
      h("path", { class: "axis", d: `M${left} ${low}V${high}H${right}` }),
      told.teacher === null ? null : h("path", { class: "line teacher", d: `M${left} ${y(told.teacher)}H${right}` }),
      h("svg", { x: left, y: low, width: right - left, height: high - low, viewBox: `${left} ${low} ${right - left} ${high - low}` }, drawn), labels.map((label) => write(right + 6, label.y, label.words, label.kind)),
      write(left, 146, "0", "", "middle"), write(right, 146, String(told.steps), "", "middle"), write((left + right) / 2, 157, "step", "", "middle")),
    h("div", { class: "small ink3" }, `probe accuracy in %, n = ${told.n}${told.seeds > 1 ? ` · bands: min to max of ${told.seeds} seeds` : ""}`));
}

// Facets, words, order, arrows among cards, a dropped file; `begin` starts a recipe.
function listenToRecipes(el, own, draw, begin) {
  const go = (wanted, push) => {
    history[push ? "pushState" : "replaceState"](null, "", recipeAddress(wanted));
    draw();
  };
  const wanted = () => wantedRecipes(own.state?.facets ?? []);
  el.addEventListener("click", (event) => {
    const { facet: name, value, sort } = event.target.closest?.("button")?.dataset ?? {};
    const now = wanted();
    if (name) go({ ...now, chosen: { ...now.chosen, [name]: value } }, true);
    else if (sort) go({ ...now, sort }, true);
  });
  el.addEventListener("input", (event) => {
    if ("filter" in event.target.dataset) go({ ...wanted(), find: event.target.value }, false);
  });
  addEventListener("popstate", () => html.dataset.mode === "start" && own.state?.hero && draw());
  addEventListener("keydown", (event) => {
    if (html.dataset.mode !== "start" || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = event.composedPath()[0];
    const card = at.closest?.("[data-card]");
    if (event.key === "/" && !writes(at)) {
      el.querySelector("[data-filter]")?.focus();
      event.preventDefault();
    } else if (event.key === "Escape" && at.dataset && "filter" in at.dataset) {
      at.value = "";
      go({ ...wanted(), find: "" }, false);
      at.blur();
    } else if (card && event.key === "Enter" && event.shiftKey) {
      event.preventDefault();
      begin(card.dataset.card);
    } else if (card && event.key.startsWith("Arrow")) {
      const all = [...el.querySelectorAll("[data-card]")];
      const across = getComputedStyle(card.parentElement).gridTemplateColumns.split(" ").length;
      const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key];
      all[all.indexOf(card) + by]?.querySelector("h3 a").focus();
      event.preventDefault();
    }
  });
  for (const kind of ["dragover", "dragleave", "drop"])
    el.addEventListener(kind, (event) => {
      const place = event.target.closest?.("[data-drop]");
      if (!place) return;
      event.preventDefault();
      place.classList.toggle("over", kind === "dragover");
      const [file] = kind === "drop" ? event.dataTransfer.files : [];
      if (file) carry(file);
    });
  el.addEventListener("change", (event) => {
    if ("pickFile" in event.target.dataset && event.target.files[0]) carry(event.target.files[0]);
  });
}

const CARRIED = "workbench-carried";

// A file goes to New in this tab's own memory, as the message that opens it there; New also says what it cannot open.
async function carry(file) {
  await opened(file, (message) => sessionStorage.setItem(CARRIED, JSON.stringify(message)));
  location.search = "?new=";
}

function takeCarried(send) {
  const kept = sessionStorage.getItem(CARRIED);
  sessionStorage.removeItem(CARRIED);
  if (kept) send(JSON.parse(kept));
}

const bringYourOwn = () =>
  h("section", { class: "card own drop", "data-drop": "", "data-key": "own" }, h("h2", { class: "title" }, "Bring your own"),
    h("p", { class: "ink2", style: "margin:2px 0 4px" }, "Drop a ", h("span", { class: "code" }, ".yaml"), " experiment here, or"),
    h("label", { class: "file-pick" }, "Open an experiment file…",
      h("input", { type: "file", accept: ".yaml,.yml", "data-pick-file": "", class: "unseen" })),
    h("a", { href: "?new=" }, "Pick a teacher and a student…"), h("a", { href: "?models=" }, "Look at kept models"),
    h("pre", { class: "code" }, "$ workbench run quickstart\n$ workbench runs"));
