// Who may only look asks an editor for a change; the editor sees it as a line and answers. No right changes hands.

const ASKED_AT_MOST = 3; // editors that are offered by name

// The message of a press on one of these buttons; null for any other.
function askingOf(what, data, el) {
  if (what === "ask-edit") return { do: "ask_edit", name: data.name, text: el.querySelector("[data-ask-text]")?.value ?? "" };
  if (what === "unask-edit") return { do: "unask_edit" };
  if (what === "answer-edit") return { do: "answer_edit", id: Number(data.id), yes: data.yes === "1" };
  return null;
}

function askEditor({ asking, people }) {
  const named = people.editors.filter((one) => one !== "on the page");
  const back = (text) => button(text, "unask-edit", { "data-key": "unask" });
  if (asking?.answer) {
    const words = asking.answer === "yes" ? "makes the change." : "does not, for now.";
    return h("div", { class: "ask", "data-key": "ask" }, h("p", { class: "read", role: "status" }, h("b", {}, asking.editor), ` has answered: ${words}`), back("Ask again"));
  }
  if (asking) return h("div", { class: "ask", "data-key": "ask" },
    h("p", { class: "read", role: "status" }, `Asked ${asking.editor}${asking.text ? `: ${asking.text}` : ""}. No answer yet.`), back("Take it back"));
  if (!named.length) return h("p", { class: "read", "data-key": "ask" }, "Nobody who has given a name can edit now, so there is nobody to ask.");
  return h("div", { class: "ask", "data-key": "ask" },
    h("input", { type: "text", "data-ask-text": "", maxlength: 200, placeholder: "What should change?", "aria-label": "What should change" }),
    named.slice(0, ASKED_AT_MOST).map((name) => button(`Ask ${name} to edit`, "ask-edit", { "data-name": name, "data-key": `ask ${name}` })));
}

const askedLines = ({ requests }) =>
  (requests ?? []).map(({ id, who, text }) =>
    h("div", { class: "notice", role: "status", "data-key": `asked ${id}` }, icon("◉"),
      h("div", {}, h("b", {}, who), ` asks you to edit${text ? `: ${text}` : "."}`),
      h("span", { class: "repairs" },
        button("I make the change", "answer-edit", { "data-id": id, "data-yes": "1" }),
        button("Not now", "answer-edit", { "data-id": id, "data-yes": "" }))));
