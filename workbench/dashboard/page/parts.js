// One module for all pieces of the page around the views. `kind` says which; `state` is what it shows.
// What a person does goes back as a message; theme, tabs and the rail's drawer stay in the browser.

const KINDS = { top, notice, tabs, rail, result, samples, journal, pairing, start, scrubber, compare,
  runs: runsPlace, models: modelsPlace, pair: pairPlace, new: newPlace };
const html = document.documentElement;

function setTheme(dark) {
  html.dataset.theme = dark ? "dark" : "light";
  html.classList.toggle("dark", dark);
  localStorage.setItem("workbench-theme", html.dataset.theme);
}

// Presses that Python need not know of; true if the press was one.
function here(what, data, own) {
  if (what === "theme") setTheme(html.dataset.theme !== "dark");
  else if (what === "tab") openTab(data.tab);
  else if (what === "lower") openLower(data.lower);
  else if (what === "rail") openRail(html.dataset.rail !== "open");
  else if (what === "home") own.home = !own.home;
  else if (what === "keys") return true; // bar.js listens
  else if (what === "journal") toggleJournal();
  else if (what === "sort" || what === "copy-journal" || what === "pair-fork") return true; // journal.js and pairing.js listen
  else if (what === "ask") own.asking = true;
  else if (what === "where") openFork(own, data.step);
  else if (what === "jump") dispatchEvent(new CustomEvent(JUMP, { detail: Number(data.step) }));
  else if (what === "play") own.bar.play();
  else if (what === "live") own.bar.live();
  else if (what === "choose") own.chosen = toggled(own.chosen ?? [], data.chosen);
  else if (what === "take") own.taking = !own.taking;
  else if (what === "person") [own.person, own.copied] = [!own.person, false];
  else if (what === "try") tryAgain();
  else if (what === "keep") own.asking = own.taking = false;
  else return false;
  return true;
}

const toggled = (list, item) => (list.includes(item) ? list.filter((other) => other !== item) : [...list, item]);

function begin(model, own, recipe) {
  if (own.starting || own.state.may === false) return;
  own.starting = true;
  ask(model, own, { do: "start", recipe });
}

function ask(model, own, what) {
  own.count = (own.count ?? 0) + 1;
  own.asked = [...(own.asked ?? []).slice(-15), { ...what, count: own.count }];
  model.set("asked", own.asked); // the last few: two presses in one turn of the page are one message
  model.save_changes();
}

function render({ model, el }) {
  const own = { shown: globalThis[SHOWN] }; // what only this browser knows
  const kind = model.get("kind");
  el.style.height = "100%";
  const style = document.createElement("style");
  style.textContent = BASE + { top: TOP + BAR + PEOPLE, notice: TOP + EVIDENCE, tabs: TOP, rail: AROUND + CONTROLS + PULL + JOURNAL + PEOPLE, journal: CONTROLS + JOURNAL, pairing: CONTROLS + PAIRING, result: AROUND + SAMPLES + AFTER + FIGURES, samples: AROUND + SAMPLES + FIGURES, start: EMPTY + START + RECIPES,
    runs: PLACE + EMPTY + FIGURES, models: PLACE + EMPTY + MODELS_STYLE + FIGURES, pair: PLACE + EMPTY + PAIR_STYLE, new: FIELDS + PAINT + LOSS + STAGES + BESIDE + NEW,
    scrubber: SCRUBBER, compare: COMPARE + FIGURES }[kind];
  let root = h("div");
  el.append(style, root);

  followContact(el, kind);
  const draw = () => {
    own.state = JSON.parse(model.get("state"));
    const { state } = own;
    if (kind === "rail") settle(own);
    if (kind === "rail" && Number.isInteger(state.newest)) kept.put(state.newest, {}, state.pull, 0);
    if (kind === "scrubber") own.bar.told();
    if (kind === "scrubber" && state.run) own.selecting.told(state.selection);
    if (kind === "scrubber" && state.run) own.toggling.told(state.toggles);
    if (kind === "scrubber" && state.run) own.opening.told(state.opened);
    if (kind === "samples" && own.told !== model.get("state")) {
      own.told = model.get("state");
      own.looking.told();
    }
    if (state.open && !own.gone) {
      own.gone = true;
      location.href = state.open.slice(1);
    }
    if (state.goto && !own.gone) {
      own.gone = true;
      location.search = `?run=${encodeURIComponent(state.goto)}`;
    }
    if (kind === "top" && !(state.buttons ?? []).includes("stop")) own.asking = false;
    if (kind === "new") settleNew(own, el.getRootNode().activeElement);
    if (["start", "runs", "models"].includes(kind) && (state.refused || state.gone)) own.starting = false;
    const made = KINDS[kind](state, own);
    const at = kind === "top" ? focused(el) : null;
    if (root.nodeName === made.nodeName) morph(root, made);
    else {
      root.replaceWith(made);
      root = made;
    }
    if (kind === "pairing") settlePairing(el, own);
    if (kind === "top") followFocus(el, own, at);
    if (kind === "top") {
      speak(own, state.spoken);
      contact.ended = ["finished", "failed", "stopped"].includes(state.status);
      html.dataset.touch = looksOnly(state) ? "no" : "";
      html.dataset.mode = state.run ? "run" : (state.place ?? "start");
      const asked = new URLSearchParams(location.search).get("run");
      if (state.run && asked !== state.run) history.pushState(null, "", `?run=${encodeURIComponent(state.run)}`);
      document.title = state.run ? `${state.name}, ${state.word} · Workbench` : state.place && state.place !== "start" ? `${PLACES.find(([place]) => place === state.place)?.[1] ?? "Compare"} · Workbench` : "Workbench";
    }
    if (["runs", "models", "pair"].includes(kind)) followAddress(own);
    if (["compare", "new"].includes(kind) && state.address && own.address !== state.address) {
      own.address = state.address; // not at each picture: a browser ignores, or refuses, too many
      history.replaceState(null, "", state.address.slice(1));
    }
    html.dataset.drawn = "";
    if (kind === "start") fetchAhead();
  };

  el.addEventListener("click", (event) => {
    const pressed = event.target.closest?.("[data-do]");
    if (!pressed || pressed.disabled) return;
    const { do: what, slow, recipe } = pressed.dataset;
    if (what === "copy-link") copyLink(el, own, draw);
    else if (what === "copy-report") copyReport(el, own, draw);
    else if (askingOf(what, pressed.dataset, el)) ask(model, own, askingOf(what, pressed.dataset, el));
    else if (what === "show-samples") dispatchEvent(new CustomEvent(NAMED, { detail: own.state }));
    else if (here(what, pressed.dataset, own)) draw();
    else if (what === "start" || what === "recipe") {
      begin(model, own, recipe ?? null);
      draw();
    } else if (what === "set") {
      const { path, value } = pressed.dataset;
      own.sent = { ...own.sent, [path]: asChange(own.state, path, value) };
      ask(model, own, { do: what, path, value });
      draw();
    } else {
      own.asking = own.taking = false;
      ask(model, own, { do: what, slow: slow === "1", at: Number(pressed.dataset.step) });
      draw();
    }
  });
  if (kind === "scrubber") own.bar = new Scrubber(el, own, draw);
  if (kind === "scrubber") own.selecting = new Selecting(own, (what) => ask(model, own, what));
  if (kind === "scrubber") own.toggling = new Toggling(own);
  if (kind === "scrubber") own.opening = new Opening(own);
  if (kind === "scrubber") followLayers((what) => ask(model, own, what));
  // Once all have heard of it: another listener may take its words back.
  if (kind === "notice") [TURNED, "workbench-toggled", OPEN, LOOKED].forEach((name) => addEventListener(name, () => queueMicrotask(draw)));
  if (kind === "samples") own.looking = new Looking(el, own, (what) => ask(model, own, what), draw);
  if (kind === "samples" || kind === "result") followLower(el, kind);
  if (kind === "samples") followNamed(el, own, draw);
  if (kind === "samples") listenToFigures(el, own, draw, () => `${own.state.run}-step-${own.look.answers.step}`, () => [`run ${own.state.run}; probe, step ${own.look.answers.step}; ${own.state.protocol}`]);
  if (kind === "result") listenToFigures(el, own, draw, () => own.state.run, () => [`run ${own.state.run}`]);
  if (kind === "tabs") addEventListener(NAMED, () => { openTab("curves"); draw(); });
  if (["tabs", "rail", "journal"].includes(kind)) addEventListener(OPEN, draw);
  addEventListener("workbench-shown", () => {
    const turned = Number.isInteger(own.shown?.step) !== Number.isInteger(globalThis[SHOWN].step);
    own.shown = globalThis[SHOWN];
    const pulls = kind === "rail" && !turned && root.querySelector('[data-key="pull"]');
    if (pulls) morph(pulls, pull(own.state, own)); // ten times a second: not the whole rail
    else if (["rail", "notice", "pairing"].includes(kind)) draw();
  });
  if (kind === "rail") listenToKnobs(el, own, (what) => ask(model, own, what), draw);
  if (kind === "rail") listenToNotes(el, own, (what) => ask(model, own, what));
  if (kind === "journal") listenToJournal(el, own, draw);
  if (kind === "pairing") listenToPairing(el, own, (what) => ask(model, own, what), draw);
  if (kind === "compare") listenToCompare(el, own, (what) => ask(model, own, what), draw);
  if (["runs", "models", "pair"].includes(kind)) listenToPlace(el, own, (what) => ask(model, own, what));
  if (["runs", "models"].includes(kind)) listenToFigures(el, own, draw, () => kind, () => []);
  if (kind === "new") listenToNew(el, own, (what) => ask(model, own, what), draw);
  if (kind === "top") listenToBar(el, own, draw);
  if (kind === "start") {
    const now = (recipe) => {
      begin(model, own, recipe);
      draw();
    };
    listenToRecipes(el, own, draw, now);
    addEventListener("keydown", (event) => {
      const busy = event.composedPath()[0].closest?.("a, button, input, textarea, select");
      if (event.key !== "Enter" || busy || html.dataset.mode !== "start" || !own.state?.hero) return;
      begin(model, own, null);
      draw();
    });
  }
  addEventListener(LOST, ({ detail }) => {
    own.lost = detail;
    if (kind === "top" || kind === "notice") draw(); // the others stay as they are, typed text and all
  });
  if (kind === "top") {
    listenToPeople(el, own, (what) => ask(model, own, what), draw);
    addEventListener("popstate", () => {
      if (new URLSearchParams(location.search).get("run") !== (own.state.run ?? null)) location.reload();
    });
    watchContact();
    watchVisibility((what) => ask(model, own, what));
  }
  model.on("change:state", draw);
  draw();
  putBack(kind, el);
}

// A tab behind others is told nothing but a change of status; what it missed comes in one piece.
function watchVisibility(tell) {
  let away = false;
  const say = () => {
    if (away === (document.visibilityState === "hidden")) return;
    away = !away;
    tell({ do: "look", away });
  };
  document.addEventListener("visibilitychange", say);
  say();
}

// On the start page plotly.js is fetched while the reader reads.
function fetchAhead() {
  if (html.dataset.mode !== "start" || document.querySelector("link[rel=prefetch]")) return;
  document.head.append(h("link", { rel: "prefetch", as: "script", href: html.dataset.plotly }));
}

export default { render };
