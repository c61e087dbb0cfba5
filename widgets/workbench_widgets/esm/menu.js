// ---- the menu on a card's title: take away what is seen, look at it as a table, read what it is --------------------

const SHOWN_ROWS = 500; // of a table on screen; a file has all
const ANSWER_MS = 5000; // a kernel that is busy does not answer; then what is drawn is taken
const SAID_MS = 2500;

class CardMenu {
  constructor(view) {
    this.view = view;
    this.said = h("div", { class: "wb-said", role: "status" });
    view.root.append(this.said);
    this.outside = (event) => {
      const path = event.composedPath(); // the title itself opens and closes
      if (this.open && !path.includes(this.open) && !path.includes(view.title)) this.close();
    };
    document.addEventListener("pointerdown", this.outside, true);
  }

  stop() {
    document.removeEventListener("pointerdown", this.outside, true);
  }

  get file() {
    return `${this.view.frame.view}-step-${this.view.frame.step}`;
  }

  toggle() {
    if (this.open) return this.close();
    const { view } = this;
    const has = view.frame.step >= 0 && view.frame.tables?.length > 0;
    const entries = [
      ["Copy figure", () => this.copyFigure()],
      ["Save SVG", async () => download(`${this.file}.svg`, new Blob([(await cardSvg(view)).text], { type: "image/svg+xml" }))],
      ["Save PNG", async () => download(`${this.file}.png`, await cardPng(view))],
      ...(has ? [["Copy data as CSV", async () => this.copy(await this.data())], ["Save data as CSV", () => this.saveData()]] : []),
      ...(has ? [["Show data as a table", () => this.table(0)]] : []),
      [document.fullscreenElement ? "Leave full screen" : "Full screen", () => view.fullScreen()],
      ["Definition", () => this.define()],
    ];
    const buttons = entries.map(([name, act]) => {
      const onclick = () => {
        this.close();
        this.try(act);
      };
      return h("button", { type: "button", role: "menuitem", tabindex: "-1", onclick }, name);
    });
    const menu = h("div", { class: "wb-menu", role: "menu", "aria-label": view.frame.title, onkeydown: (event) => this.move(event, buttons) }, buttons);
    this.show(menu, buttons[0]);
    return undefined;
  }

  show(node, first) {
    this.close();
    this.open = node;
    this.view.root.append(node);
    this.view.title.setAttribute("aria-expanded", "true");
    first.focus();
  }

  close() {
    const had = this.open?.contains(this.view.el.getRootNode().activeElement);
    this.open?.remove();
    this.open = null;
    this.view.title.setAttribute("aria-expanded", "false");
    if (had) this.view.title.focus();
  }

  move(event, buttons) {
    const at = buttons.indexOf(this.view.el.getRootNode().activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (event.key === "Tab") this.close();
    if (to === undefined) return;
    buttons[(to + buttons.length) % buttons.length].focus();
    event.preventDefault();
    event.stopPropagation();
  }

  async try(act) {
    try {
      await act();
    } catch (error) {
      this.tell(`That did not work: ${error.message}`);
      console.error(error);
    }
  }

  tell(words) {
    this.said.textContent = words;
    clearTimeout(this.forget);
    this.forget = setTimeout(() => (this.said.textContent = ""), SAID_MS);
  }

  async copy(text) {
    await clipboard().writeText(text);
    this.tell("Copied.");
  }

  async copyFigure() {
    const made = cardPng(this.view); // the press allows a copy only now, so the picture is promised
    await clipboard().write([new ClipboardItem({ "image/png": made })]);
    this.tell("Copied.");
  }

  // Curves are thinned for drawing; a file holds every logged point, so those are asked of Python.
  async data() {
    const { frame, arrays, model } = this.view;
    if (frame.view !== "curves") return csv(frame, arrays);
    const url = model.get("points_url");
    if (url) {
      const answer = await fetch(url);
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      return answer.text();
    }
    const text = typeof model.send === "function" ? await asked(model) : null;
    return text ?? csv(frame, arrays, ["as drawn: long curves are thinned; run.save_table(\"points\", ...) has every point"]);
  }

  async saveData() {
    download(`${this.file}.csv`, new Blob([await this.data()], { type: "text/csv" }));
  }

  define() {
    const close = h("button", { type: "button", onclick: () => this.close() }, "Close");
    const { definition, caption } = this.view.frame;
    const conditions_ = caption ? h("p", { class: "wb-conditions" }, caption) : null;
    this.show(h("div", { class: "wb-menu wb-text", role: "note" }, h("p", {}, definition), conditions_, close), close);
  }

  // What is drawn, for those who do not see it, and for those who want the numbers.
  table(which) {
    const { frame, arrays } = this.view;
    const sheets = sheetsOf(frame, arrays);
    const sheet = sheets[which];
    const notes = conditions(frame);
    const name = `${this.file}-${sheet.title.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`;
    const button = (words, act, more = {}) => h("button", { type: "button", onclick: () => this.try(act), ...more }, words);
    const pick = sheets.length > 1 && h("span", { class: "wb-toggle", role: "group", "aria-label": "table" },
      sheets.map(({ title }, k) => button(title, () => this.table(k), { "aria-pressed": String(k === which) })));
    const close = button("Close", () => this.close());
    const actions = h("div", { class: "wb-actions" },
      button("Copy CSV", () => this.copy(csvOf(sheet, notes))),
      button("Save CSV", () => download(`${name}.csv`, new Blob([csvOf(sheet, notes)], { type: "text/csv" }))),
      button("Copy LaTeX", () => this.copy(latexOf(sheet, notes))),
      button("Save LaTeX", () => download(`${name}.tex`, new Blob([latexOf(sheet, notes)], { type: "application/x-tex" }))),
      close);
    const rows = sheet.rows.slice(0, SHOWN_ROWS).map((row) =>
      h("tr", {}, row.map((cell) => h("td", { class: typeof cell === "number" ? "wb-number" : null }, cellText(cell) || "no value"))));
    const more = sheet.rows.length - rows.length;
    const right = sheet.columns.map((_, k) => sheet.rows.every((row) => typeof row[k] === "number"));
    const head = h("tr", {}, sheet.columns.map((column, k) => h("th", { scope: "col", class: right[k] ? "wb-number" : null }, column)));
    const words = `${sheet.title}: ${notes.join("; ")}${more > 0 ? ` The first ${rows.length} of ${sheet.rows.length} rows; a file has all.` : ""}`;
    const table = h("table", {}, h("caption", {}, words), h("thead", {}, head), h("tbody", {}, rows));
    const room = h("div", { class: "wb-rows", tabindex: "0" }, table);
    this.show(h("div", { class: "wb-sheet", role: "dialog", "aria-label": `${frame.title} as a table` }, h("div", { class: "wb-bar" }, pick || null, actions), room), close);
  }
}

function asked(model) {
  return new Promise((resolve) => {
    const done = (text) => {
      clearTimeout(limit);
      model.off("msg:custom", receive);
      resolve(text);
    };
    const receive = (message) => message?.kind === "points" && done(message.text);
    const limit = setTimeout(() => done(null), ANSWER_MS);
    model.on("msg:custom", receive);
    model.send({ kind: "want-points" });
  });
}

const MENU_CSS = `
.wb-menu { position: absolute; z-index: 6; top: 32px; left: 10px; display: flex; flex-direction: column; max-width: min(360px, 92%);
  max-height: calc(100% - 40px); overflow: auto; padding: 4px; border: 1px solid var(--wb-line-strong); border-radius: 5px; background: var(--wb-surface); }
.wb-view .wb-menu button { flex: none; min-height: 26px; padding: 0 10px; text-align: left; border-radius: 3px; }
.wb-view .wb-menu button:hover, .wb-view .wb-menu button:focus { background: var(--wb-sunken); }
.wb-text p { margin: 6px 10px; }
.wb-conditions { font-size: 11px; line-height: 15px; color: var(--wb-ink2); }
.wb-said { position: absolute; z-index: 6; left: 10px; bottom: 6px; max-width: 92%; padding: 3px 8px; border-radius: 4px;
  border: 1px solid var(--wb-line-strong); background: var(--wb-surface); font-size: 11px; line-height: 15px; }
.wb-said:empty { display: none; }
.wb-caption { overflow-wrap: anywhere; margin-top: 2px; }
.wb-sheet { position: absolute; z-index: 6; inset: 0; display: flex; flex-direction: column; gap: 6px; padding: 10px 12px; background: var(--wb-surface); }
.wb-bar { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; justify-content: space-between; }
.wb-actions { display: flex; flex-wrap: wrap; gap: 4px; margin-left: auto; }
.wb-view .wb-actions button { min-height: 22px; padding: 0 8px; font-size: 11px; border: 1px solid var(--wb-line-strong); border-radius: 4px; }
.wb-view .wb-actions button:hover { background: var(--wb-sunken); }
.wb-rows { flex: 1 1 0; min-height: 0; overflow: auto; border: 1px solid var(--wb-line); border-radius: 4px; }
.wb-rows:focus-visible { outline: 2px solid var(--wb-ink); outline-offset: -2px; }
.wb-view .wb-rows table { width: 100%; margin: 0; border: 0; border-collapse: collapse; font-size: 11px; line-height: 15px; color: var(--wb-ink); table-layout: auto; }
.wb-view .wb-rows caption { padding: 4px 8px; text-align: left; color: var(--wb-ink2); caption-side: top; }
.wb-view .wb-rows tr { background: none; }
.wb-view .wb-rows th { position: sticky; top: 0; padding: 3px 8px; text-align: left; font-weight: 600; background: var(--wb-sunken); color: var(--wb-ink); border: 0; }
.wb-view .wb-rows td { padding: 2px 8px; text-align: left; border: 0; border-top: 1px solid var(--wb-line); white-space: nowrap; color: var(--wb-ink); }
.wb-view .wb-rows .wb-number { text-align: right; }
.wb-view:fullscreen { height: 100vh !important; border-radius: 0; border: 0; }
`;

