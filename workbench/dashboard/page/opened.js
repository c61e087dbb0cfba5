// What is open on the page of a run beside the toggles of its views: the tab of a narrow page, the card at the lower
// right, the journal and what of it is shown, the rail where it lies over the views, cell, sample and question of the
// inspector, the range of steps that was dragged over the curves. The address holds what the page would not open by
// itself (see opened.py), written over: Back is for places. Maps of a sample are left out: to follow a link is no press,
// and they cost the machine that trains.

const LOOKED = "workbench-looked"; // a person has opened something
const OPEN = "workbench-open"; // open what an address holds; it stands in `looked`
const RANGE = Symbol.for("workbench/range");
const RANGED = "workbench-range";
const RAIL_OVER = matchMedia("(min-width: 900px) and (max-width: 1199px)"); // here the rail is a strip that opens over the views
const WRITE_MS = 200; // between two writings: a key that is held down opens 30 samples a second

// What a person or an address named; null: the page's own choice.
const looked = { lower: null, cell: null, sample: null, method: null, target: null, journal: null, author: null, find: null };
const NAMED_OPEN = ["tab", "lower", "journal", "author", "find", "rail", "cell", "sample", "method", "target", "range"];

function lookedAt(what) {
  Object.assign(looked, what);
  dispatchEvent(new Event(LOOKED));
}

function openTab(name) {
  document.documentElement.dataset.tab = name;
  dispatchEvent(new Event(LOOKED));
}

function openRail(open) {
  document.documentElement.dataset.rail = open ? "open" : "";
  dispatchEvent(new Event(LOOKED));
}

function openLower(name) {
  showLower(name, true);
  lookedAt({ lower: name });
}

// Calls it soon, after all that this press leads to, and not too often.
function calmly(act) {
  let [last, due] = [-Infinity, 0];
  return () => {
    due ||= setTimeout(() => {
      [last, due] = [performance.now(), 0];
      act();
    }, Math.max(last + WRITE_MS - performance.now(), 0));
  };
}

const firstLower = (active) => (globalThis[CHOSEN].text || active ? "samples" : "result");

function withOpened(query, active) {
  const { tab, rail } = document.documentElement.dataset;
  const range = globalThis[RANGE];
  const open = { ...looked, tab: tab === "views" ? null : tab, range: range && `${range.from}-${range.to}` };
  open.rail = rail === "open" && RAIL_OVER.matches ? rail : null; // else it is always there: a link would cover views that its writer saw
  if (open.lower === firstLower(active)) open.lower = null;
  if (!open.journal) open.author = open.find = null;
  const told = NAMED_OPEN.filter((name) => (open[name] ?? null) !== null);
  return told.reduce((so, name) => `${so}&${name}=${encodeURIComponent(open[name])}`, query);
}

class Opening {
  static words = "";

  constructor(own) {
    Object.assign(this, { own, begun: false, following: false, write: calmly(() => own.bar.write(true)) });
    for (const name of [LOOKED, RANGED, OPENED]) addEventListener(name, () => this.changed());
    RAIL_OVER.addEventListener("change", () => this.changed());
    addEventListener("popstate", () => this.follow(), true); // before the others: the inspector asks when samples are selected
  }

  // The server has read a link; only the first word counts, from then on the browser leads.
  told(opened) {
    if (this.begun || !opened) return;
    this.begun = true;
    if (!Object.keys(opened.open).length && !opened.words) return;
    this.put(opened.open, opened.words);
    this.own.bar.write(true);
  }

  changed() {
    if (!this.begun || this.following) return;
    Opening.words = "";
    this.write();
  }

  // Back and Forward.
  follow() {
    const place = new URLSearchParams(location.search);
    if (place.get("run") !== this.own.bar.run) return;
    const [sample, range] = [place.get("sample"), place.get("range")];
    this.put({
      ...Object.fromEntries(NAMED_OPEN.map((name) => [name, place.get(name)])),
      sample: sample && Number(sample), range: range?.split("-").map(Number) }, "");
    showLower(looked.lower ?? (place.get("select") || this.own.state.active ? "samples" : "result"));
  }

  put({ tab, rail, range, journal, ...open }, words) {
    this.following = true;
    Opening.words = words; // for the strip under the top bar
    Object.assign(document.documentElement.dataset, { tab: tab ?? "views", rail: rail ?? "" });
    for (const name of Object.keys(looked)) if (name !== "journal") looked[name] = open[name] ?? null;
    openJournal(journal ?? null);
    if (looked.lower) showLower(looked.lower);
    const before = globalThis[RANGE] ?? null;
    globalThis[RANGE] = range ? { from: range[0], to: range[1], opened: true } : null;
    if (before || range) dispatchEvent(new Event(RANGED));
    dispatchEvent(new Event(OPEN));
    this.following = false;
  }
}
