// The server has gone: say so within two seconds, keep what was typed, look for it, and come back
// to the same address by itself. A page that is served again is a new one, so it is loaded anew.

const LOST = "workbench-lost";
const TYPED = "workbench-typed";
const WAITS = [2, 2, 4, 6, 10]; // seconds between two tries; the last one stays
const HEARTBEAT = 5000; // a network that swallows everything closes no websocket: ask now and then
const PATIENCE = 8000; // a machine that trains on all cores may be slow to answer

// What all pieces of the page know of it: they are drawn by one module.
const contact = { since: null, dropped: false, next: 0, tries: 0, asking: false, ended: false, parts: [] };

const age = () => Math.max(Math.round((Date.now() - contact.since) / 1000), 0);
const spell = (seconds) => (seconds < 90 ? `${seconds} s` : `${Math.round(seconds / 60)} min`);

function lostNotice() {
  const old = spell(age());
  const wait = Math.max(Math.ceil((contact.next - Date.now()) / 1000), 0);
  const going = contact.ended ? "The run has ended; nothing of it is lost." : "Training runs in its own process and is probably going on.";
  const next = contact.asking ? "Trying now." : `Next try in ${wait} s.`;
  return h("div", { class: "root" },
    h("div", { class: "notice attention" }, icon("△"),
      h("div", {}, h("b", {}, h("span", { role: "alert" }, "No contact with the server"), ` for ${old}.`), " ",
        h("span", { class: "ink2" }, `${going} Values below are ${old} old. ${next}`), " ",
        h("span", { class: "ink2" }, "Controls are off until then; nothing you typed is lost."))));
}

const tryNow = () => [button(contact.asking ? "Trying…" : "Try now", "try", { "data-key": "try", class: "primary" })];

const ping = () =>
  fetch(html.dataset.plotly, { method: "HEAD", cache: "no-store", signal: AbortSignal.timeout(PATIENCE) })
    .then((answer) => answer.ok, () => false);

function loseContact() {
  if (contact.since !== null) return;
  contact.since = Date.now();
  contact.tries = 0;
  keepTyped();
  html.dataset.contact = "lost";
  for (const { kind, el } of contact.parts) if (!["top", "notice", "tabs", "scrubber"].includes(kind)) el.inert = true;
  later();
  contact.clock = setInterval(() => {
    if (!contact.asking && Date.now() >= contact.next) tryAgain();
    dispatchEvent(new CustomEvent(LOST, { detail: true }));
  }, 1000);
  dispatchEvent(new CustomEvent(LOST, { detail: true }));
}

function later() {
  contact.next = Date.now() + 1000 * WAITS[Math.min(contact.tries, WAITS.length - 1)];
  contact.tries += 1;
}

async function tryAgain() {
  if (contact.asking || contact.since === null) return;
  contact.asking = true;
  dispatchEvent(new CustomEvent(LOST, { detail: true }));
  const answers = await ping();
  contact.asking = false;
  later();
  if (answers) regain();
  else dispatchEvent(new CustomEvent(LOST, { detail: true }));
}

function regain() {
  clearInterval(contact.clock);
  if (contact.dropped) {
    location.reload();
    return;
  }
  sessionStorage.removeItem(TYPED); // the fields were never gone
  contact.since = null;
  delete html.dataset.contact;
  for (const { el } of contact.parts) el.inert = false;
  dispatchEvent(new CustomEvent(LOST, { detail: false }));
}

function watchContact() {
  const [page] = globalThis.Bokeh?.documents ?? [];
  if (!page) {
    setTimeout(watchContact, 50); // Bokeh lists the document just after its pieces are drawn
    return;
  }
  page.on_event("connection_lost", () => {
    contact.dropped = true;
    loseContact();
  });
  addEventListener("offline", loseContact);
  addEventListener("online", tryAgain);
  setInterval(async () => {
    if (contact.since !== null || document.visibilityState === "hidden") return;
    if (!(await ping()) && !(await ping())) loseContact();
  }, HEARTBEAT);
}

// What was typed and not sent, by what the field is (a step in its label may be another by then);
// it is put back where the page comes back.
const fieldName = (kind, field) =>
  [kind, field.nodeName, field.id, field.name, field.dataset.path, field.getAttribute("aria-label"), field.placeholder].join("|").replace(/\d+/g, "#");
const isTyped = (field) => !["range", "checkbox", "radio", "hidden", "file"].includes(field.type) && field.value !== field.defaultValue;

function keepTyped() {
  const fields = {};
  for (const { kind, el } of contact.parts)
    for (const field of el.querySelectorAll("input, textarea")) if (isTyped(field)) fields[fieldName(kind, field)] = field.value;
  if (Object.keys(fields).length) sessionStorage.setItem(TYPED, JSON.stringify({ at: location.search, fields }));
}

function putBack(kind, el) {
  const kept = JSON.parse(sessionStorage.getItem(TYPED) ?? "null");
  if (!kept) return;
  if (kept.at !== location.search) return sessionStorage.removeItem(TYPED);
  for (const field of el.querySelectorAll("input, textarea")) {
    const name = fieldName(kind, field);
    if (!(name in kept.fields)) continue;
    field.closest("details")?.setAttribute("open", "");
    field.focus(); // a field that somebody is in is not drawn over
    field.value = kept.fields[name];
    field.dispatchEvent(new Event("input", { bubbles: true }));
    delete kept.fields[name];
  }
  if (Object.keys(kept.fields).length) sessionStorage.setItem(TYPED, JSON.stringify(kept));
  else sessionStorage.removeItem(TYPED);
  return undefined;
}

// Of each piece, before its own listeners: without contact nothing is sent.
function followContact(el, kind) {
  contact.parts.push({ el, kind });
  const swallow = (event) => contact.since !== null && event.stopImmediatePropagation();
  if (!["top", "notice", "tabs", "scrubber"].includes(kind))
    for (const event of ["change", "submit", "keydown"]) el.addEventListener(event, swallow, true);
}
