// A fork on the page New experiment: where it begins, and what becomes of it there.

// Beside the heading: the step, and what has been changed so far.
function forkHead(fork, state) {
  return [
    h("span", { class: "valued" }, h("label", { for: "fork-at", class: "ink2" }, "step"),
      h("input", { class: "in number", id: "fork-at", "data-edit": "fork.at", type: "text", inputmode: "numeric", value: fork.at, autocomplete: "off",
        title: `0 to ${fork.reached}` })),
    h("a", { class: "ink2", href: fork.href.slice(1) }, "open the run there"),
    h("span", { class: "ink2" }, state.changed_words || "nothing changed yet"),
  ];
}

// Above Start: whether it trains on or stands paused, and whether later changes are made again.
function forkLine(fork) {
  const choice = (paused, words) => h("label", { "data-key": String(paused) },
    h("input", { type: "radio", name: "fork-begins", "data-edit": "fork.paused", value: String(paused), checked: fork.paused === paused }), words);
  return h("div", { class: "begins", "data-key": "begins" },
    h("fieldset", {}, h("legend", {}, `At step ${spaced(fork.at)}`), choice(false, "it trains on"), choice(true, "it stands paused")),
    fork.after ? h("label", {}, h("input", { type: "checkbox", "data-edit": "fork.later", checked: fork.later }),
      `repeat the ${fork.after_words} made to the run after it`) : null);
}
