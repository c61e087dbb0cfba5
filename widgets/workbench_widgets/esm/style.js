// A class's name selects all of its samples, a count under it only its own: the outline says which of the two.
const OVER_CLASS = Array.from({ length: 12 }, (_, k) =>
  `.wb-grid:has(th:nth-child(${k + 2}) button:is(:hover, :focus-visible)) :is(th, td):nth-child(${k + 2})`).join(", ");

const CSS = `
.wb-view { box-sizing: border-box; position: relative; display: flex; flex-direction: column; width: 100%;
  min-height: 240px; container-type: size; padding: 11px 12px 8px; overflow: hidden; border: 1px var(--wb-edge, solid) var(--wb-edge-colour, var(--wb-line)); border-radius: 6px;
  background: var(--wb-surface); color: var(--wb-ink); font: 12px/16px ${TABLES.font};
  font-variant-numeric: tabular-nums; text-align: left; }
.wb-view * { box-sizing: border-box; font-family: inherit; }
.wb-view:focus-visible, .wb-view button:focus-visible { outline: 2px solid var(--wb-ink); outline-offset: 1px; }
.wb-view:focus-visible { outline-offset: -2px; }
.wb-view button { color: inherit; background: none; border: 0; margin: 0; padding: 0; font: inherit; cursor: pointer; }
.wb-header { display: flex; flex-wrap: wrap; align-items: center; gap: 2px 8px; min-height: 20px; }
.wb-view .wb-title { flex: 1 0 auto; max-width: 100%; font-size: 13px; line-height: 18px; font-weight: 600;
  text-align: left; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; border-radius: 3px; }
.wb-controls { display: flex; flex-wrap: wrap; justify-content: flex-end; gap: 2px 6px; min-width: 0; margin-left: auto; }
.wb-toggle { display: flex; border: 1px solid var(--wb-line-strong); border-radius: 4px; overflow: hidden; }
.wb-view .wb-toggle button { padding: 0 7px; height: 18px; font-size: 11px; line-height: 18px; color: var(--wb-ink2); }
.wb-toggle button + button { border-left: 1px solid var(--wb-line-strong); }
.wb-view .wb-toggle button[aria-pressed="true"] { background: var(--wb-ink); color: var(--wb-surface); }
.wb-lead { white-space: pre; }
.wb-chip ~ .wb-toggle .wb-lead { display: none; }
@container (max-width: 330px) { .wb-lead { display: none; } .wb-view .wb-footer { white-space: normal; } }
.wb-view:has(.wb-chip) .wb-footer { white-space: normal; } /* n and protocol give way to nothing */
@container (max-width: 520px) { [data-view="trilateral"] .wb-word { display: none; }
  .wb-view[data-view="trilateral"] .wb-toggle button { padding: 0 5px; } }
@container (max-width: 420px) { .wb-chip:has(~ .wb-toggle) .wb-long { display: none; } }
@container (max-width: 420px) { .wb-chip:has(~ .wb-toggle ~ .wb-toggle) .wb-word { display: none; } }
.wb-view .wb-list { max-width: 96px; height: 20px; padding: 0 2px; font-size: 11px; color: var(--wb-ink); background: var(--wb-surface);
  border: 1px solid var(--wb-line-strong); border-radius: 4px; }
.wb-view .wb-list:focus-visible { outline: 2px solid var(--wb-ink); outline-offset: 1px; }
.wb-view .wb-chip { padding: 0 8px; height: 20px; font-size: 11px; border: 1px solid var(--wb-ink);
  border-radius: 10px; white-space: nowrap; }
.wb-read { margin-top: 1px; font-size: 11.5px; line-height: 15px; color: var(--wb-ink2); }
.wb-middle { position: relative; flex: 1 1 0; min-height: 0; margin-top: 3px; overflow: hidden; }
.wb-plot { position: absolute; inset: 0; overflow: hidden; }
.wb-waiting { position: absolute; left: 48%; top: 46%; transform: translate(-50%, -50%); width: max-content;
  max-width: 56%; padding: 5px 9px; text-align: center; background: var(--wb-surface); color: var(--wb-ink2);
  border: 1px solid var(--wb-line); border-radius: 4px; pointer-events: none; }
.wb-waiting[hidden] { display: none; }
[data-view="curves"] .wb-waiting, [data-view="calibration"] .wb-waiting { top: 26%; } /* between labels, not on them */
[data-view="trilateral"] .wb-waiting { left: 33%; }
.wb-here { position: absolute; width: 2px; margin-left: -1px; background: var(--wb-ink); opacity: .8; pointer-events: none; }
.wb-here[hidden] { display: none; }
.wb-footer { flex: none; margin-top: 5px; font-size: 11px; line-height: 14px; color: var(--wb-ink3);
  white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.wb-note { margin-top: 3px; font-size: 11px; line-height: 15px; color: var(--wb-ink2); }
.wb-mark { display: inline-block; min-width: 14px; padding: 0 3px; border-radius: 2px; text-align: center;
  font-size: 11px; line-height: 14px; font-weight: 600; background: var(--wb-ink); color: var(--wb-surface); }
.wb-stats { display: grid; column-gap: 16px; margin: 4px 0 0; }
.wb-stats > div { display: flex; justify-content: space-between; gap: 8px; min-width: 0; padding: 1px 0;
  white-space: nowrap; }
.wb-rules > div { padding: 2px 0; border-top: 1px solid var(--wb-line); }
.wb-stats span { min-width: 0; overflow: hidden; text-overflow: ellipsis; color: var(--wb-ink2);
  font-size: 11.5px; }
.wb-stats .wb-mark { color: var(--wb-surface); }
.wb-view .wb-stats .wb-value { flex: none; font-size: 12px; font-weight: 600; color: var(--wb-ink); }
.wb-quadrants { display: grid; grid-template-columns: minmax(52px, max-content) 1fr 1fr; gap: 4px 5px;
  align-items: center; margin-top: 6px; }
.wb-head { text-align: center; font-size: 11.5px; }
.wb-side { max-width: 66px; font-size: 11.5px; line-height: 15px; }
.wb-view .wb-cell { display: flex; flex-direction: column; justify-content: space-between; min-width: 0;
  height: clamp(44px, 15cqh, 58px); padding: 3px 8px 4px; border: 1px solid var(--wb-line); border-radius: 4px;
  text-align: left; }
.wb-view .wb-cell:hover { border-color: var(--wb-line-strong); }
.wb-top { display: flex; justify-content: space-between; gap: 6px; width: 100%; }
.wb-count { font-size: 17px; line-height: 20px; font-weight: 600; }
.wb-meaning { width: 100%; font-size: 11px; line-height: 14px; color: var(--wb-ink2); white-space: nowrap;
  overflow: hidden; text-overflow: ellipsis; }
.wb-trend { width: 60px; height: 18px; flex: none; }
.wb-trend path { fill: none; stroke: var(--wb-ink2); stroke-width: 1.3; }
.wb-trend circle { fill: var(--wb-ink2); }
.wb-grid { width: 100%; margin-top: 6px; border-collapse: separate; border-spacing: 2px; table-layout: fixed;
  font-size: 11px; line-height: 14px; }
.wb-view .wb-grid th { padding: 0; border: 0; background: none; font-weight: 400; color: var(--wb-ink2);
  text-align: center; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.wb-view .wb-grid th:first-child { width: 84px; text-align: left; }
.wb-view .wb-grid td { padding: 0; border: 0; text-align: center; }
.wb-view .wb-grid button { display: block; width: 100%; overflow: hidden; text-overflow: ellipsis; }
.wb-grid td:has(button:hover), ${OVER_CLASS} { outline: 2px solid var(--wb-ink); outline-offset: -1px; }
.wb-grid th button:is(:hover, :focus-visible) { text-decoration: underline; color: var(--wb-ink); }
.wb-plot .plotly, .wb-plot .svg-container { position: relative; }
.wb-plot .main-svg { position: absolute; top: 0; left: 0; pointer-events: none; overflow: hidden; }
.wb-plot .cartesianlayer :is(.lines, .points path, .fills, .errorbars, image), .wb-plot .gl-container { opacity: var(--wb-fade, 1); }
.wb-stand-in { position: absolute; left: 0; top: 0; pointer-events: none; opacity: var(--wb-fade, 1); }
.wb-stood-in .cartesianlayer .mlayer { visibility: hidden; }
.wb-plot .main-svg .draglayer { pointer-events: all; }
.wb-range { position: absolute; background: var(--wb-ink); opacity: .09; pointer-events: none; }
.wb-range[hidden] { display: none; }
.wb-drag { position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none; }
.wb-drag path { fill: none; stroke: var(--wb-ink); stroke-width: 1.5; stroke-dasharray: 3 3; }
.wb-drag path.ok { stroke-width: 2.5; stroke-dasharray: none; }
.wb-plot.wb-grab { cursor: grab; }
.wb-plot .cursor-pointer { cursor: pointer; }
.wb-plot .cursor-crosshair { cursor: crosshair; }
/* Colours forced by the reader's system do not reach into a plot: it keeps its own ground under its own ink. */
@media (forced-colors: active) {
  .wb-plot:has(.main-svg), .wb-grid td { forced-color-adjust: none; background-color: var(--wb-surface); }
  .wb-view .wb-toggle button[aria-pressed="true"] { forced-color-adjust: none; background: Highlight; color: HighlightText; }
}
`;

