// What the places Runs, Models and Pair share: telling Python what a reader did, the address, rows by key.

const PLACE = `
.place { max-width: 1240px; margin: 0 auto; padding: 12px; display: flex; flex-direction: column; gap: 12px; }
.place h1 { margin: 0; font-size: 17px; line-height: 20px; font-weight: 600; }
.head { display: flex; align-items: center; gap: 12px; flex-wrap: wrap; }
.head > :last-child { margin-left: auto; }
.tools { display: flex; align-items: center; gap: 8px 12px; flex-wrap: wrap; padding: 10px 12px; border-bottom: 1px solid var(--wb-line); }
.root input.find { width: 220px; height: 26px; padding: 0 8px; font: inherit; color: var(--wb-ink); background: var(--wb-surface);
  border: 1px solid var(--wb-line-strong); border-radius: 5px; }
.root select { height: 26px; font: inherit; color: var(--wb-ink); background: var(--wb-surface); border: 1px solid var(--wb-line-strong); border-radius: 5px; }
.root :is(input, select):focus-visible { outline: 2px solid var(--wb-ink); outline-offset: 1px; }
.chips { display: flex; gap: 4px; flex-wrap: wrap; }
.root .chips button { min-height: 22px; padding: 0 8px; border-radius: 10px; border-color: var(--wb-line); }
.root .chips button[aria-pressed="true"] { background: var(--wb-ink); color: var(--wb-surface); border-color: var(--wb-ink); }
.chips .count { margin-left: 5px; opacity: .8; }
.sheet { padding: 0; overflow: hidden; }
.scroll { overflow-x: auto; }
.sheet table { width: 100%; border-collapse: collapse; }
.sheet th { padding: 7px 10px; text-align: left; font-weight: 400; font-size: 11px; color: var(--wb-ink3); white-space: nowrap;
  border-bottom: 1px solid var(--wb-line); }
.root .sheet th button { min-height: 0; padding: 0; border: 0; background: none; color: inherit; font: inherit; }
.root .sheet th button:hover { color: var(--wb-ink); text-decoration: underline; }
.sheet th[aria-sort] { color: var(--wb-ink); font-weight: 600; }
.sheet td { padding: 7px 10px; border-bottom: 1px solid var(--wb-line); vertical-align: top; }
.sheet tr:last-child td { border-bottom: 0; }
.sheet tbody tr:hover, .sheet tbody tr:focus-within { background: var(--wb-sunken); }
.sheet .num { text-align: right; white-space: nowrap; }
.sheet td a { text-decoration: none; } .sheet td a:hover { text-decoration: underline; }
.sheet td a.open { font-weight: 600; }
.sheet .failed { color: var(--wb-error); }
.sheet input[type="checkbox"] { accent-color: var(--wb-ink); margin: 1px 0 0; }
.sheet .foot { padding: 8px 12px; border-top: 1px solid var(--wb-line); color: var(--wb-ink3); }
.sheet .nowrap { white-space: nowrap; }
.sheet .apart { min-width: 132px; max-width: 260px; }
.root .apart button.code { min-height: 0; padding: 0; border: 0; display: block; text-align: left; white-space: normal; overflow-wrap: anywhere; }
.root .apart button.code:hover { text-decoration: underline; }
.queue ol { margin: 8px 0 0; padding: 0; list-style: none; }
.queue .acts { display: flex; gap: 6px; }
.queue li { display: grid; grid-template-columns: 24px minmax(0, 1fr) auto; align-items: center; gap: 8px; padding: 4px 0; border-top: 1px solid var(--wb-line); }
.root a.button { display: inline-flex; align-items: center; min-height: 26px; padding: 0 12px; border-radius: 5px; background: var(--wb-ink);
  color: var(--wb-surface); font-weight: 600; text-decoration: none; }
.said { padding: 8px 12px; border: 1px solid var(--wb-attention-edge); border-radius: 6px; background: var(--wb-attention); }
@media (max-width: 899px) { .late { display: none; } }
@media (pointer: coarse) { .root .apart button.code { min-height: 32px; } }
`;

const TYPING_MS = 150;

// A control that tells Python: `say("sort", "name")` as attributes.
const say = (what, value) => ({ "data-say": what, "data-value": value ?? "" });

const findField = (state, words) =>
  h("input", { class: "find", type: "search", "data-find": "", value: state.find, placeholder: words, "aria-label": words,
    autocomplete: "off", spellcheck: "false" });

const facet = (name, title, values, chosen) =>
  values.length > 1
    ? h("div", { class: "chips", role: "group", "aria-label": title },
        values.map(({ value, words, count }) =>
          h("button", { type: "button", ...say(name, value === chosen ? "" : value), "aria-pressed": String(value === chosen) },
            words, " ", h("span", { class: "count" }, count))))
    : null;

const said = (state) => (state.refused ? h("div", { class: "said", role: "alert" }, state.refused) : null);

// Follows presses, typing and keys of a place; `tell` sends to Python.
function listenToPlace(el, own, tell) {
  let typing = 0;
  el.addEventListener("click", (event) => {
    const pressed = event.target.closest?.("button[data-say], input[type=checkbox][data-say]");
    if (!pressed || pressed.disabled) return;
    own.push = !["choose"].includes(pressed.dataset.say);
    tell({ do: pressed.dataset.say, value: pressed.dataset.value });
  });
  el.addEventListener("change", (event) => {
    if (event.target.nodeName !== "SELECT" || !event.target.dataset.say) return;
    own.push = true;
    tell({ do: event.target.dataset.say, value: event.target.value });
  });
  el.addEventListener("input", (event) => {
    if (!("find" in event.target.dataset)) return;
    const { value } = event.target; // after its turn an event names the host only
    clearTimeout(typing);
    typing = setTimeout(() => tell({ do: "find", value }), TYPING_MS);
  });
  addEventListener("keydown", (event) => rowKeys(el, event));
  addEventListener("popstate", () => {
    own.back = true;
    tell({ do: "address", value: location.search });
  });
}

// `/` filters; arrows go from row to row; X chooses the row.
function rowKeys(el, event) {
  const at = event.composedPath()[0];
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/" && !writes(at)) {
    el.querySelector("[data-find]")?.focus();
    event.preventDefault();
    return;
  }
  if (event.key === "Escape" && at.dataset && "find" in at.dataset) at.blur();
  const rows = [...el.querySelectorAll("[data-row]")];
  const now = rows.findIndex((row) => row.contains(at));
  if (["ArrowDown", "ArrowUp"].includes(event.key) && rows.length && at.nodeName !== "SELECT") {
    const next = rows[Math.min(Math.max(now + (event.key === "ArrowDown" ? 1 : -1), 0), rows.length - 1)];
    next.querySelector("a.open, [data-first]")?.focus();
    event.preventDefault();
  } else if (event.key.toLowerCase() === "x" && now >= 0 && !writes(at)) rows[now].querySelector("input[type=checkbox]")?.click();
}

// The address is what Python says it is; what was pressed can be taken back, typing and ticks cannot.
function followAddress(own) {
  const { address } = own.state;
  if (!address || own.back || location.pathname + location.search === address) {
    own.back = own.push = false;
    return;
  }
  history[own.push ? "pushState" : "replaceState"](null, "", address.slice(1));
  own.push = false;
}
