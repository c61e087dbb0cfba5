// Where there is nothing yet: student, teacher and truth, one sentence, and the two ways to a first run.

const EMPTY = `
.empty { padding: 18px 12px 26px; text-align: center; }
.empty p { margin: 4px auto 14px; max-width: 64ch; color: var(--wb-ink2); }
.empty svg { width: 110px; height: 84px; margin: 14px auto 6px; display: block; }
.empty svg path { fill: none; stroke: var(--wb-line-strong); stroke-dasharray: 2 3; }
.empty .s { fill: var(--wb-student); } .empty .t { fill: var(--wb-teacher); } .root .empty path.g { fill: var(--wb-truth); stroke: none; }
.root .empty .ways { display: flex; justify-content: center; gap: 8px; margin-bottom: 0; color: var(--wb-ink); }
.root .empty .ways a { display: inline-flex; align-items: center; min-height: 26px; padding: 0 12px; border: 1px solid var(--wb-line-strong); border-radius: 5px;
  text-decoration: none; white-space: nowrap; }
.root .empty .ways a:hover { border-color: var(--wb-ink3); }
@media (pointer: coarse) { .root .empty .ways a { min-height: 32px; } }
`;

const DEMO = "The quickstart needs no download and no GPU. It takes about 40 s.";

const triangle = () =>
  h("svg", { viewBox: "0 0 110 84", "aria-hidden": "true" },
    h("path", { d: "M55 12 18 68 92 68Z" }),
    h("circle", { class: "s", cx: 55, cy: 12, r: 6 }),
    h("rect", { class: "t", x: 86, y: 62, width: 12, height: 12 }),
    h("path", { class: "g", d: "M18 60 26 68 18 76 10 68Z" }));

// `primary` where the screen has no other first thing to do; who may only look gets no button.
const nothingYet = (head, text, own, { may = true, primary = true } = {}) => [
  triangle(), h("b", {}, head), h("p", {}, text),
  may ? h("p", { class: "ways" },
    button(own.starting ? "Starting…" : [icon("▶"), "Start the demo"], "start", { "data-key": "demo", class: primary ? "primary" : null, disabled: own.starting }),
    h("a", { href: "?new=" }, "New experiment")) : null];
