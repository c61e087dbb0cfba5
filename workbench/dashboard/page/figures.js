// The menu on a figure's title: take away what is seen as a picture with its protocol, its numbers as a file.
// The views have the same menu (esm/menu.js); this one is for figures that the page draws itself.

const FIGURES = `
.figure { position: relative; }
.root .figure > button { min-height: 0; padding: 0; border: 0; background: none; font: inherit; border-radius: 3px; }
.figure .menu { position: absolute; left: 0; top: 22px; z-index: 15; display: flex; flex-direction: column; min-width: 170px; padding: 4px;
  border: 1px solid var(--wb-line-strong); border-radius: 5px; background: var(--wb-surface); font-weight: 400; font-size: 12px; line-height: 16px; }
.root .figure .menu :is(a, button) { display: block; min-height: 26px; padding: 4px 8px; border: 0; border-radius: 4px; background: none;
  color: inherit; font: inherit; text-align: left; text-decoration: none; }
.root .figure .menu :is(a, button):is(:hover, :focus) { background: var(--wb-sunken); }
.figure .said { position: absolute; left: 0; top: 22px; z-index: 15; padding: 3px 8px; border: 1px solid var(--wb-line-strong); border-radius: 4px;
  background: var(--wb-surface); font-size: 11px; line-height: 15px; font-weight: 400; white-space: nowrap; } .figure .said:empty { display: none; }
`;

const TAKEN = [["copy", "Copy figure"], ["svg", "Save SVG"], ["png", "Save PNG"]];
const FILES = { csv: "Save data as CSV", tex: "Save data as LaTeX" };
const SAID_FOR_MS = 2500;

// A title that opens the menu of its card. `query` asks the server for the figure's numbers; `sheet` makes them here
// ({title, columns, rows}); without either there are none.
function figureTitle(own, name, text, query, sheet = null) {
  own.sheets = { ...own.sheets, [name]: sheet };
  const take = ([what, words]) => h("button", { type: "button", role: "menuitem", tabindex: -1, "data-take": what }, words);
  return menuHead("h2", own, name, text, () => [TAKEN.map(take), sheet ? Object.entries(FILES).map(take) : null, query ? filesOf(query) : null]);
}

// The same for a list, whose numbers are all that can be taken away: its head, and the files.
const listTitle = (own, name, text, query) =>
  menuHead("h1", own, name, [text, h("span", { class: "icon ink3", "aria-hidden": "true", style: "margin:0 0 0 6px" }, "▾")], () => filesOf(query));

const filesOf = (query) => Object.entries(FILES).map(([to, words]) =>
  h("a", { role: "menuitem", tabindex: -1, href: `tables?${query}&to=${to}`, download: "" }, words));

function menuHead(tag, own, name, text, items) {
  const open = own.figure === name;
  return h(tag, { class: tag === "h2" ? "title figure" : "figure" },
    h("button", { type: "button", "data-figure": name, "aria-haspopup": "menu", "aria-expanded": String(open) }, text),
    open ? h("div", { class: "menu", role: "menu", "aria-label": [text].flat()[0] }, items()) : null,
    h("span", { class: "said", role: "status" }, own.said?.name === name ? own.said.text : ""));
}

// A copy of a card as wide as it is, nothing cut off, no control left in it, and the conditions of its numbers below.
function cardCopy(card, conditions) {
  const copy = card.cloneNode(true);
  const width = Math.max(card.getBoundingClientRect().width, card.scrollWidth + 2);
  const gone = ".menu, .said, .unseen, .off, .after, details, .seg, .strip-of, .wait, [data-do], [aria-pressed='false']";
  copy.querySelectorAll(gone).forEach((node) => node.remove());
  copy.querySelectorAll("select").forEach((node) => node.replaceWith(h("b", {}, node.selectedOptions[0]?.text ?? "")));
  copy.querySelectorAll(".figure > button").forEach((node) => node.replaceWith(node.textContent));
  copy.querySelectorAll("a").forEach((node) => node.replaceWith(h("span", {}, node.textContent)));
  copy.append(h("div", { class: "foot" }, conditions.map((line) => h("div", {}, line))));
  const away = { position: "fixed", left: "0", top: "0", zIndex: "-1", opacity: "0", width: `${width}px`, height: "auto", overflow: "visible" };
  Object.assign(copy.style, away);
  copy.setAttribute("aria-hidden", "true");
  copy.inert = true;
  return copy;
}

function figureSvg(card, conditions) {
  const copy = cardCopy(card, conditions);
  card.parentNode.append(copy);
  try {
    return svgOf(copy, conditions.join("; "));
  } finally {
    copy.remove();
  }
}

// `file()` names what is saved; `conditions` are the lines of the protocol as they are now.
function listenToFigures(el, own, draw, file, conditions) {
  const within = () => el.getRootNode().activeElement;
  const items = () => [...el.querySelectorAll(".figure .menu > *")];
  const show = (name) => {
    const before = own.figure;
    own.figure = name;
    draw();
    if (name) items()[0].focus();
    else if (before) el.querySelector(`[data-figure="${before}"]`)?.focus();
  };
  const say = (name, text) => {
    own.said = { name, text };
    draw();
    clearTimeout(own.unsaid);
    own.unsaid = setTimeout(() => {
      own.said = null;
      draw();
    }, SAID_FOR_MS);
  };
  const take = async (name, how) => {
    const card = el.querySelector(`[data-figure="${name}"]`).closest(".card");
    try {
      const sheet = own.sheets[name]?.();
      if (how === "csv") return download(`${file()}-${name}.csv`, new Blob([csvOf(sheet, conditions())], { type: "text/csv" }));
      if (how === "tex") return download(`${file()}-${name}.tex`, new Blob([latexOf(sheet, conditions())], { type: "application/x-tex" }));
      const made = figureSvg(card, conditions());
      if (how === "svg") return download(`${file()}-${name}.svg`, new Blob([made.text], { type: "image/svg+xml" }));
      if (how === "png") return download(`${file()}-${name}.png`, await pngOf(made));
      await clipboard().write([new ClipboardItem({ "image/png": pngOf(made) })]); // promised: the press allows it only now
      say(name, "Copied.");
    } catch (error) {
      say(name, `That did not work: ${error.message}`);
      console.error(error);
    }
    return undefined;
  };
  el.addEventListener("click", (event) => {
    const [title, item] = [event.target.closest("[data-figure]"), event.target.closest(".figure .menu > *")];
    if (title) show(own.figure === title.dataset.figure ? null : title.dataset.figure);
    if (!item) return;
    const name = own.figure;
    if (item.dataset.take) take(name, item.dataset.take);
    setTimeout(() => show(null)); // a link that leaves the page while it is pressed is not followed
  });
  el.addEventListener("keydown", (event) => {
    const listed = items();
    const here = listed.indexOf(within());
    const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: listed.length - 1 }[event.key];
    const typing = event.target.matches("input, textarea, select");
    const card = (event.target.closest(".card") ?? el).querySelector("[data-figure]") ?? el.querySelector("h1 > [data-figure]");
    if (here >= 0 && to !== undefined) listed[(to + listed.length) % listed.length].focus();
    else if (own.figure && ["Escape", "Tab"].includes(event.key)) show(null);
    else if (card && !typing && event.key.toLowerCase() === "m" && !event.ctrlKey && !event.metaKey && !event.altKey) show(card.dataset.figure);
    else return;
    if (event.key === "Tab") return;
    event.preventDefault();
    event.stopPropagation();
  });
  const outside = (event) => {
    if (!el.isConnected) return document.removeEventListener("pointerdown", outside, true);
    if (own.figure && !event.composedPath().some((node) => node.classList?.contains("figure"))) {
      own.figure = null;
      draw();
    }
    return undefined;
  };
  document.addEventListener("pointerdown", outside, true);
}
