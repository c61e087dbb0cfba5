// What a person toggled in the views of this page: `globalThis[TOGGLED]`, view -> {name: value}, only what is not as it
// was first. A view asks with "workbench-toggle", all hear "workbench-toggled"; the address holds it as text, one
// argument a view (see toggles.py), written over at every press: Back is for places, not for looks at one place.

const TOGGLED = Symbol.for("workbench/toggled");
const TOGGLED_VIEWS = ["cka", "trilateral", "calibration", "loyalty", "curves"];
globalThis[TOGGLED] ??= {};

const togglesText = (toggles) =>
  Object.entries(toggles).filter((pair) => !/[:,]/.test(pair.join(""))).map((pair) => pair.map(encodeURIComponent).join(":")).join(",");

// Toggles of a text that this page or its server wrote.
const textToggles = (text) => Object.fromEntries(text.split(",").map((piece) => piece.split(":")));

const withToggles = (query) =>
  TOGGLED_VIEWS.reduce((so, view) => {
    const text = togglesText(globalThis[TOGGLED][view] ?? {});
    return text ? `${so}&${view}=${text}` : so;
  }, query);

class Toggling {
  static words = "";

  constructor(own) {
    Object.assign(this, { own, opened: false, write: calmly(() => own.bar.write(true)) });
    addEventListener("workbench-toggle", ({ detail: { view, toggles } }) => {
      this.opened = true;
      this.put({ ...globalThis[TOGGLED], [view]: toggles }, "");
      this.write();
    });
    addEventListener("popstate", () => this.follow());
  }

  // The server has read a link; only the first word counts, from then on the browser leads.
  told(toggles) {
    if (this.opened || !toggles) return;
    this.opened = true;
    if (!withToggles("") && !Object.keys(toggles.views).length && !toggles.words) return;
    this.put(toggles.views, toggles.words);
    this.own.bar.write(true);
  }

  // Back and Forward.
  follow() {
    const place = new URLSearchParams(location.search);
    if (place.get("run") !== this.own.bar.run) return;
    const there = TOGGLED_VIEWS.filter((view) => place.get(view));
    this.put(Object.fromEntries(there.map((view) => [view, textToggles(place.get(view))])), "");
  }

  put(views, words) {
    globalThis[TOGGLED] = views;
    Toggling.words = words; // for the strip under the top bar
    dispatchEvent(new Event("workbench-toggled"));
  }
}
