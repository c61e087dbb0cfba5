// The stages of a new experiment as cards: one is chosen, its form stands below and its loss above.

const STAGES = `
.stage-cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 8px; margin: 8px 0 0; padding: 0; list-style: none; }
.stage-card { display: grid; gap: 2px; align-content: start; padding: 8px 10px; border: 1px solid var(--wb-line); border-radius: 5px; min-width: 0; }
.stage-card.chosen { outline: 2px solid var(--wb-ink); outline-offset: -1px; }
.root .stage-card button.pick-stage { min-height: 20px; padding: 0 2px; border-color: transparent; background: none; font-weight: 600; overflow: hidden; text-overflow: ellipsis; }
.stage-card .loss-of { font: 11.5px/16px ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; overflow-wrap: anywhere; }
.stage-card .row { align-items: center; justify-content: flex-start; } .stage-card .shut { margin-left: auto; } .stage-card .here { white-space: nowrap; } .stage-card .in { min-height: 22px; font-weight: 600; }
.root .stage-card button.shut { min-height: 20px; padding: 0 6px; border-color: transparent; background: none; }
`;

function stageCard(stage, k) {
  const name = stage.chosen && !stage.fixed
    ? h("input", { class: "in", type: "text", "data-stage-name": stage.name, value: stage.name, "aria-label": `Name of stage ${k + 1}`, spellcheck: "false", autocomplete: "off" })
    : h("button", { type: "button", class: "pick-stage", "data-stage": stage.name, "aria-pressed": String(stage.chosen), title: `Edit stage ${stage.name}` }, stage.name);
  return h("li", { class: `stage-card${stage.chosen ? " chosen" : ""}`, "data-key": `stage-${stage.name}-${stage.chosen}`, "aria-current": stage.chosen ? "true" : null },
    h("div", { class: "row" }, h("span", { class: "ink3 small" }, `${k + 1}`), name, stage.chosen ? h("span", { class: "small ink2 here" }, "edited here") : null,
      stage.fixed ? null : h("button", { type: "button", class: "shut", "data-stage-remove": stage.name, "aria-label": `Remove stage ${stage.name}`, title: "Remove" }, "✕")),
    h("div", { class: "small ink2" }, stage.start), h("div", { class: "small ink2" }, stage.facts), h("div", { class: "loss-of" }, stage.loss));
}

// One stage needs no card: its form is all of it.
function stageCards({ stages }) {
  if (stages.length < 2) return null;
  return h("ol", { class: "stage-cards", "aria-label": "Stages in order" }, stages.map(stageCard));
}
