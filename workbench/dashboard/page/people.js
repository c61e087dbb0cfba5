// Who sits here and who looks on: the name that the journal takes, the link that only looks, and
// what the page of somebody who may only look says instead of its controls.

const PEOPLE = `
.person { position: relative; }
.person .menu { width: 268px; padding: 10px 12px; white-space: normal; gap: 8px; }
.person .menu label { display: block; color: var(--wb-ink2); }
.person .menu input { display: block; width: 100%; margin-top: 4px; }
.person .menu p { margin: 0; }
.person > button { max-width: 176px; overflow: hidden; text-overflow: ellipsis; }
.person .short { display: none; }
@media (max-width: 1099px) { .top[data-run] .person .few { display: none; } .top[data-run] .person .short { display: inline; } }
.chip.eye { border-color: var(--wb-line-strong); font-weight: 400; color: var(--wb-ink2); }
@media (max-width: 1599px) { .top[data-run] .person .count { display: none; } }
@media (max-width: 1439px) { .top[data-run] .person > button { max-width: 92px; } }
.ask { display: flex; flex-direction: column; align-items: flex-start; gap: 6px; margin-top: 6px; } .ask p { margin: 0; }
.root .ask input { width: 100%; height: 26px; padding: 0 8px; font: inherit; color: var(--wb-ink); background: var(--wb-surface);
  border: 1px solid var(--wb-line-strong); border-radius: 5px; }
@media (pointer: coarse) { .root .ask input { height: 32px; } }
.can { margin: 4px 0 10px; padding: 0; list-style: none; color: var(--wb-ink2); } .can li { padding: 2px 0; }
`;

const MY_NAME = "workbench-name";
const looksOnly = (state) => state.people?.touch === false;

// The link of this place that may only look; its own step and selection come with it.
function viewLink(state) {
  const link = new URL(location.href);
  link.searchParams.set("run", state.run);
  link.searchParams.set("view", state.people.view);
  return link.href;
}

function person(state, own) {
  const told = state.people;
  if (!told) return null;
  const count = told.viewers ? h("span", { class: "count" }, `${told.called === "on the page" ? "" : " · "}${told.viewers}`) : null;
  const name = told.called === "on the page" ? (told.viewers ? "" : "Your name") : told.called;
  const several = told.names.length > 1 || told.viewers;
  return h("span", { class: "taking person", "data-key": "person" },
    h("button", { type: "button", class: "bare", "data-do": "person", "aria-expanded": String(Boolean(own.person)),
      "aria-label": `People: ${told.called}${told.viewers ? `, ${told.viewers}` : ""}`, title: told.viewers || "Your name in the journal" },
    name || (told.viewers ? [h("span", { class: "few" }, told.viewers), h("span", { class: "short" }, "People")] : ""), name ? count : null),
    own.person ? h("div", { class: "menu" },
      told.login ? h("p", {}, "Logged in as ", h("b", {}, told.name), ". ", h("a", { href: "logout" }, "Log out"))
        : h("label", {}, "Your name in the journal", h("input", { type: "text", "data-name": "", maxlength: 40, autocomplete: "name",
          value: told.name, placeholder: "on the page", "aria-label": "Your name in the journal" })),
      several ? h("p", { class: "small ink2" }, `${told.viewers}: ${told.names.join(", ")}`) : null,
      told.view && state.run ? [
        button(own.copied ? "Link copied" : "Copy view-only link", "copy-link", { "data-key": "link" }),
        h("input", { type: "text", readonly: "", "data-link": "", value: viewLink(state), "aria-label": "View-only link" }),
        h("p", { class: "small ink2" }, "Whoever opens it sees this run and can change nothing.")] : null) : null);
}

async function copyLink(el, own, draw) {
  const box = el.querySelector("[data-link]");
  box.select();
  // Without TLS a browser gives no clipboard; then the link stands there, selected.
  own.copied = await (navigator.clipboard?.writeText(box.value).then(() => true, () => false) ?? false);
  draw();
  el.querySelector("[data-link]")?.select();
}

function listenToPeople(el, own, send, draw) {
  const mine = localStorage.getItem(MY_NAME);
  queueMicrotask(() => { // once it is drawn
    if (mine && own.state.people && !own.state.people.login) send({ do: "name", value: mine });
  });
  const give = (box) => {
    const name = box.value.trim();
    if (name === own.state.people.name) return;
    if (name) localStorage.setItem(MY_NAME, name);
    else localStorage.removeItem(MY_NAME);
    send({ do: "name", value: name });
  };
  el.addEventListener("change", (event) => "name" in (event.target.dataset ?? {}) && give(event.target));
  el.addEventListener("keydown", (event) => {
    const box = event.target.closest?.("[data-name]");
    if (!own.person || !["Escape", "Enter"].includes(event.key)) return;
    if (event.key === "Enter" && !box) return;
    if (event.key === "Enter") give(box);
    event.stopPropagation();
    event.preventDefault(); // else the same Enter presses the button that gets the focus
    own.person = own.copied = false;
    draw();
    el.querySelector('[data-do="person"]')?.focus();
  });
}

function viewOnlyGroup(state, own) {
  if (!looksOnly(state)) return null;
  const { editors, fork, guest } = state.people;
  const can = ["scrub, brush, inspect", guest ? null : "compare with other runs", "copy any figure with its data"].filter(Boolean);
  const step = own.shown?.step ?? state.at;
  return h("div", { class: "group", "data-key": "only" },
    h("h2", { class: "title" }, "You can"),
    h("ul", { class: "can" }, can.map((what) => h("li", {}, what))),
    fork ? button("Fork to my runs", "where", { "data-step": step, title: "Opens New experiment at this step, in your name; this run stays as it is" }) : null,
    h("p", { class: "read watch" }, editorWords(editors)), askEditor(state));
}

// Who of those that look on can edit; somebody without a name sits "on the page".
function editorWords(editors) {
  const named = editors.filter((one) => one !== "on the page");
  const others = named.length < editors.length ? ["somebody without a name"] : [];
  const words = [...named, ...others].join(", ");
  return words ? `${words[0].toUpperCase()}${words.slice(1)} can edit.` : "Nobody who looks on now can edit.";
}
