// The panel that pairs two layers of the map: a feature term is added for them, or one of the run moves there.
// It stands on the map's card and asks Python; what is refused is said in it.

const PAIRING = `
.pairing { position: fixed; z-index: 11; padding: 10px 12px; border: 1px solid var(--wb-ink); border-radius: 6px; background: var(--wb-surface); }
.pairing .fields { display: grid; grid-template-columns: auto minmax(0, 1fr) auto minmax(0, 1fr); gap: 6px 8px; align-items: center; margin-top: 8px; }
.pairing .fields > .wide { grid-column: 2 / -1; }
.pairing select { width: 100%; min-width: 0; }
.pairing input[type="text"] { width: 70px; }
.pairing .about { grid-column: 1 / -1; min-height: 28px; margin: 0; }
.pairing .buttons { display: flex; gap: 8px; margin-top: 8px; }
.pairing .words { min-height: 14px; margin-top: 6px; overflow-wrap: anywhere; }
`;

function pairing(state, own) {
  if (!state.pair) return h("div", { class: "root" });
  if (own.opened !== state.opened) Object.assign(own, { opened: state.opened, pick: { ...state.pair, what: "", use: state.terms[0][0], weight: "1" }, fresh: true });
  const { pick } = own;
  const { left, bottom, width } = document.getElementById("cka").getBoundingClientRect();
  const style = `left:${Math.max(left + 8, 8)}px;bottom:${Math.max(innerHeight - bottom + 8, 74)}px;width:${Math.max(width - 16, 280)}px`;
  const options = (list, chosen) => list.map(([value, text]) => h("option", { value, selected: value === chosen }, text));
  const field = (name, list, label) => h("select", { "data-pick": name, "aria-label": label }, options(list, pick[name]));
  const same = (names) => names.map((name) => [name, name]);
  const what = [["", "a new term"], ...state.moves.map(([name, from]) => [name, `move ${name} (${from})`])];
  const summary = pick.what ? `${pick.what} reads this pair from then on; what it had learned for the other is built anew.`
    : state.terms.find(([name]) => name === pick.use)[1];
  const at = own.shown?.step ?? own.shown?.newest ?? state.at;
  return h("div", { class: "root pairing", style, role: "dialog", "aria-label": "Pair two layers" }, h("form", {},
    h("div", { class: "row" }, h("h2", { class: "title" }, "Pair for a feature term"),
      h("button", { type: "button", class: "bare", "data-do": "unpair", "aria-label": "Close", title: "Close (Escape)" }, "✕")),
    h("div", { class: "fields" },
      h("span", { class: "teacher" }, "■ T"), field("teacher", same(state.teachers), "Teacher layer"),
      h("span", { class: "student" }, "● S"), field("student", same(state.students), "Student layer"),
      h("span", {}, "What"), state.moves.length ? h("span", { class: "wide" }, field("what", what, "What")) : h("span", { class: "wide" }, "a new term"),
      pick.what ? null : [h("span", {}, "Term"), field("use", same(state.terms.map(([name]) => name)), "Term"),
        h("span", {}, "weight"), h("input", { type: "text", "data-pick": "weight", "aria-label": "Weight", value: pick.weight, autocomplete: "off" })],
      h("p", { class: "small ink3 about" }, summary)),
    h("div", { class: "buttons" },
      state.live ? h("button", { type: "submit", class: "primary", disabled: state.sent ? true : null }, pick.what ? "Move at the next step" : "Add at the next step") : null,
      h("button", { type: state.live ? "button" : "submit", class: state.live ? null : "primary", "data-do": "pair-fork" }, `Fork at step ${spaced(at)}`)),
    h("div", { class: `small words${state.bad ? " error" : " ink2"}`, role: state.bad ? "alert" : "status" },
      state.words ?? (state.live ? "" : "This run has ended: a fork trains on from there."))));
}

function listenToPairing(el, own, send, draw) {
  const ask = (fork) => send({ do: "pair", fork, at: own.shown?.step ?? own.state.at, student: own.pick.student, teacher: own.pick.teacher,
    move: own.pick.what, use: own.pick.use, weight: own.pick.weight });
  const take = ({ target }) => {
    if (!target.dataset?.pick) return;
    own.pick = { ...own.pick, [target.dataset.pick]: target.value };
    draw();
  };
  el.addEventListener("input", take);
  el.addEventListener("submit", (event) => {
    event.preventDefault();
    ask(!own.state.live);
  });
  el.addEventListener("click", ({ target }) => {
    if (target.closest?.("[data-do]")?.dataset.do === "pair-fork" && own.state.live) ask(true);
  });
  addEventListener("resize", () => own.state?.pair && draw());
  el.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    send({ do: "unpair" });
  });
}

// Once it has opened, the keyboard is in it; once it has closed, on the map again.
function settlePairing(el, own) {
  if (own.fresh) el.querySelector?.("select")?.focus();
  if (own.stood && !own.state.pair) deepestView("cka")?.focus();
  own.fresh = false;
  own.stood = Boolean(own.state.pair);
}

function deepestView(view, root = document) {
  for (const node of root.querySelectorAll("*")) {
    const found = node.matches(`[data-view="${view}"]`) ? node : node.shadowRoot && deepestView(view, node.shadowRoot);
    if (found) return found;
  }
  return null;
}
