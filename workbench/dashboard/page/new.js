// The place New experiment: five numbered cards, the text beside them, the checks and Start.

const NEW = `
.new { box-sizing: border-box; display: grid; grid-template-columns: minmax(0, 1fr) 420px; gap: 12px; height: calc(100vh - 48px); padding: 12px; }
.new .cards { display: flex; flex-direction: column; gap: 8px; min-height: 0; overflow: auto; padding: 1px; }
.new .card h2 .nth { display: inline-block; width: 20px; color: var(--wb-ink3); font-weight: 400; font-size: 11px; }
.new .card h2 + .read, .new .headed .read { margin-left: 8px; font-weight: 400; }
.headed { display: flex; align-items: baseline; gap: 8px; flex-wrap: wrap; }
.headed .push { margin-left: auto; display: flex; gap: 6px; }
.pair-cards { display: grid; grid-template-columns: 1fr 1fr; gap: 8px; margin-top: 8px; }
.half { padding: 8px 10px; border: 1px solid var(--wb-line); border-radius: 5px; min-width: 0; }
.half .pick label { font-weight: 600; }
.half .pick { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: 8px; align-items: center; }
.half .facts { display: flex; gap: 4px 18px; flex-wrap: wrap; margin: 8px 0 2px; }
.facts div { min-width: 0; } .facts dt { font-size: 11px; color: var(--wb-ink3); text-align: left; } .facts dd { margin: 0; font-weight: 600; text-align: left; }
.layers rect { fill: var(--wb-teacher); } .student .layers rect { fill: var(--wb-student); }
.layers text { font-size: 11px; fill: var(--wb-ink2); }
.half.student, .half.teacher { color: var(--wb-ink); }
.half details { margin-top: 4px; }
.data-row { display: flex; gap: 6px 18px; align-items: center; flex-wrap: wrap; margin-top: 8px; }
.data-row .in { width: 130px; } .data-row .facts { display: flex; gap: 4px 14px; flex-wrap: wrap; margin: 0; }
.data-row .facts div { display: flex; gap: 5px; } .data-row .facts dt { font-size: 12px; }
.thumbs { display: flex; gap: 3px; }
.thumbs img { width: 22px; height: 22px; image-rendering: pixelated; border: 1px solid var(--wb-line); border-radius: 2px; }
.stage-row { display: grid; grid-template-columns: 250px minmax(0, 1fr); gap: 18px; margin-top: 8px; }
.rate path.line { fill: none; stroke: var(--wb-ink); stroke-width: 1.6; } .rate path.floor { fill: var(--wb-sunken); stroke: none; }
.rate path.fork { stroke: var(--wb-ink); stroke-dasharray: 3 3; } .rate text.fork { fill: var(--wb-ink); }
.rate text { font-size: 11px; fill: var(--wb-ink3); } .rate path.axis { stroke: var(--wb-line-strong); fill: none; }
.probe-cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); gap: 8px; margin-top: 8px; }
.probe-cards > div { padding: 8px 10px; border: 1px solid var(--wb-line); border-radius: 5px; }
.probe-cards > div > label { display: grid; grid-template-columns: auto minmax(0, 1fr); gap: 0 8px; cursor: pointer; }
.probe-cards .fields { grid-template-columns: auto minmax(0, 1fr); margin: 6px 0 0 28px; }
.probe-cards .fields .small { grid-column: 1 / -1; }
.probe-cards .small { grid-column: 2; color: var(--wb-ink3); }
.stage-row h3 { margin: 12px 0 6px; font-weight: 400; }
.why-fixed { flex-basis: 100%; margin: 4px 0 0; padding-left: 20px; }
@media (max-width: 1199px) { .new { grid-template-columns: minmax(0, 1fr) 340px; } .stage-row { grid-template-columns: minmax(0, 1fr); } .headed .read { flex-basis: auto; } }
@media (max-width: 899px) { .pair-cards { grid-template-columns: minmax(0, 1fr); } .new { grid-template-columns: minmax(0, 1fr); height: auto; padding-bottom: 68px; } .new .cards { overflow: visible; }
  .new .go { position: fixed; inset: auto 0 0 0; background: var(--wb-surface); z-index: 10; } .text-card { flex: none; height: 320px; } }
`;

const facts = (list) => h("dl", { class: "facts" }, list.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));

const headed = (nth, title, read, ...more) =>
  h("div", { class: "headed" }, h("h2", { class: "title" }, h("span", { class: "nth" }, nth), title), h("span", { class: "read" }, read),
    more.length ? h("span", { class: "push" }, more) : null);

// Channels of each tap, input to output.
function layerBars(layers) {
  if (!layers.length) return null;
  const [width, height, room] = [innerWidth < 1200 ? 290 : 430, 62, 44]; // about as wide as its card, so that labels keep their size
  const step = width / layers.length;
  const most = Math.max(...layers.map(({ channels }) => channels));
  const label = (name) => (step > 46 ? name.replace("blocks.", "b") : layers.length <= 16 ? name.replace(/^.*\./, "") : "");
  return h("svg", { class: "layers", viewBox: `0 0 ${width} ${height}`, width: "100%", role: "img",
    "aria-label": `Channels of each layer: ${layers.map(({ name, channels }) => `${name} ${channels}`).join(", ")}.` },
    layers.map(({ name, channels }, k) => {
      const tall = Math.max((channels / most) * room, 2);
      return [h("rect", { x: k * step + 1, y: room - tall, width: Math.max(step - 3, 1), height: tall }),
        h("text", { x: (k + 0.5) * step, y: height - 5, "text-anchor": "middle" }, label(name))];
    }));
}

function modelHalf(model, state) {
  const word = model.role === "teacher" ? "Teacher" : "Student";
  const most = Math.max(...model.layers.map(({ channels }) => channels), 0);
  const least = Math.min(...model.layers.map(({ channels }) => channels), most);
  // `known` is one node whatever is known, so that the options after it stay the node that a reader opened.
  return h("div", { class: `half ${model.role}`, "data-key": model.role },
    h("div", { class: "pick" }, h("label", { for: idOf(model.use.path) }, marked(model.role, word)), h("div", {}, picker(model.use, state.wrong, false, true))),
    h("div", { class: "known" }, model.facts.length ? facts(model.facts) : h("p", { class: "read" }, state.waits),
      h("div", { class: "small ink3" }, model.says),
      layerBars(model.layers), model.layers.length ? h("div", { class: "small ink3" }, `bar height: channels, ${least} to ${most}`) : null),
    model.fields.length ? h("details", { "data-key": `${model.role}-options`, open: wrongIn(model.fields, state.wrong) }, h("summary", { class: "ink2" }, "Options"),
      h("div", { class: "fields", style: "margin-top:6px" }, fieldRows(model.fields, state.wrong))) : null);
}

function rateChart(told) {
  if (told.waits) return h("p", { class: "read" }, told.waits);
  const [width, height, left, bottom] = [560, 132, 60, 30];
  const x = (step) => left + (step / Math.max(told.steps - 1, 1)) * (width - left - 8);
  const y = (rate) => 8 + (1 - (told.peak ? rate / told.peak : 0)) * (height - bottom - 8);
  const points = told.x.map((step, k) => `${x(step).toFixed(1)} ${y(told.y[k]).toFixed(1)}`);
  const floor = y(0);
  const ticks = [0, 0.5, 1].map((share) => Math.round(share * told.steps));
  return h("svg", { class: "rate", viewBox: `0 0 ${width} ${height}`, width: "100%", role: "img",
    "aria-label": `Learning rate over ${told.steps} steps, peak ${told.peak}: ${told.phases.map(([name]) => name).join(", ")}.` },
    h("path", { class: "floor", d: `M${x(0)} ${floor} L${points.join(" L")} L${x(told.steps - 1)} ${floor} Z` }),
    h("path", { class: "axis", d: `M${left} 8 V${floor} H${width - 8}` }),
    h("path", { class: "line", d: `M${points.join(" L")}` }),
    [[told.peak, told.peak], [told.peak / 2, told.peak / 2], [0, 0]].map(([rate, text]) => h("text", { x: left - 5, y: y(rate) + 4, "text-anchor": "end" }, Number(text.toPrecision(3)))),
    ticks.map((step, k) => h("text", { x: x(Math.min(step, told.steps - 1)), y: height - 16, "text-anchor": ["start", "middle", "end"][k] }, step)),
    Number.isInteger(told.from) ? [h("path", { class: "fork", d: `M${x(told.from)} 8 V${floor}` }), h("text", { class: "fork", x: x(told.from) + (told.from > told.steps / 2 ? -4 : 4), y: 16, "text-anchor": told.from > told.steps / 2 ? "end" : "start" }, `fork at ${spaced(told.from)}`)] : null,
    told.phases.map(([name, from, to]) => h("text", { x: x((from + to) / 2), y: floor - 5, "text-anchor": "middle" }, fitted(name, x(to) - x(from) - 6))),
    h("text", { x: (left + width) / 2, y: height - 3, "text-anchor": "middle" }, "step"),
    h("text", { x: 10, y: 60, "text-anchor": "middle", transform: "rotate(-90 10 60)" }, "learning rate"));
}

function newPlace(state, own) {
  if (!state.origin) return h("div", { class: "root new" });
  const { fork, fixed } = state;
  const why = (card) => (fixed[card] ? h("p", { class: "read why-fixed", "data-key": "why-fixed" }, fixed[card]) : null);
  const main = ["batch_size", "epochs", "steps"];
  const simple = (field) => main.includes(field.label.replace(" ", "_"));
  const few = state.stage.fields.filter(simple);
  const others = state.stage.fields.filter((field) => !simple(field));
  const [known, many] = [state.experiment, state.stages.length > 1];
  return h("div", { class: "root new", "data-new": state.counts },
    h("div", { class: "cards" },
      h("div", { class: "headed" }, h("h1", { class: "title" }, fork ? `Fork of ${fork.run} at step ${spaced(fork.at)}` : "New experiment"),
        fork ? forkHead(fork, state) : h("span", { class: "ink2" }, `from ${state.origin}${state.changed_words ? `, ${state.changed_words}` : ""}`),
        h("span", { class: "push" },
          h("button", { type: "button", "data-do": "undo", disabled: !state.undo, title: "Ctrl+Z" }, icon("↶"), "Undo"),
          h("button", { type: "button", "data-do": "redo", disabled: !state.redo, title: "Ctrl+Shift+Z" }, icon("↷"), "Redo"),
          h("button", { type: "button", "data-do": "reset", disabled: !state.changed }, "Reset"),
          h("button", { type: "button", "data-open": "" }, "Open…"),
          h("button", { type: "button", "data-save": "" }, "Save as…"),
          h("input", { type: "file", "data-file": "", accept: ".yaml,.yml,text/yaml", hidden: true, "aria-label": "An experiment file" }))),
      h("section", { class: "card", "data-key": "models" }, headed("1", "Models", state.models_words), why("models"),
        h("div", { class: "pair-cards" }, state.models.map((model) => modelHalf(model, state)))),
      h("section", { class: "card", "data-key": "data" }, headed("2", "Data", "What both networks see."), why("data"),
        h("div", { class: "data-row" }, h("div", {}, h("label", { class: "unseen", for: idOf(state.data.use.path) }, "Data set"), picker(state.data.use, state.wrong)),
          state.data.facts.length ? facts(state.data.facts) : h("span", { class: "read" }, state.waits),
          state.pictures.length ? h("span", { class: "thumbs" }, state.pictures.map((src, k) => h("img", { src, alt: `Training image ${k + 1}` }))) : null),
        h("details", { "data-key": "data-options", style: "margin-top:6px", open: wrongIn(state.data.fields, state.wrong) }, h("summary", { class: "ink2" }, "Options"),
          h("div", { class: "fields", style: "margin-top:6px;max-width:520px" }, fieldRows(state.data.fields, state.wrong)))),
      h("section", { class: "card", "data-key": "loss" }, headed("3", many ? `Loss of stage ${state.stage_name}` : "Loss", "Type it, or use the cards; both stay equal. Colour says whom the term pulls towards."), why("loss"),
        lossLine(state, own), h("div", { class: "term-cards" }, state.terms.map((term) => termCard(term, state, own))), addTerm(state, own)),
      h("section", { class: "card", "data-key": "stages" },
        headed("4", "Stages", many ? "In order; press one to edit it." : "One stage. Another one before it would prepare its weights.",
          ...(fork?.at ? [] : [h("button", { type: "button", "data-stage-add": "" }, icon("+"), "Stage")])), why("stages"), stageCards(state),
        h("div", { class: "stage-row" },
          h("div", {}, h("div", { class: "fields" }, fieldRows(few, state.wrong), many ? null : fieldRows(known, state.wrong)),
            many ? [h("h3", { class: "small ink2" }, "Of the whole experiment"), h("div", { class: "fields" }, fieldRows(known, state.wrong))] : null),
          h("div", {}, rateChart(state.schedule),
            h("div", { class: "fields", style: "margin-top:6px;max-width:560px" }, fieldRows(others, state.wrong, { open: ["optimiser"] }))))),
      h("section", { class: "card", "data-key": "probes" }, headed("5", "Probes", "What is measured while it trains, on fixed samples: a grid of looks, and more while they take under 3 % of the time."), why("probes"),
        h("div", { class: "probe-cards" }, state.probes.map((probe) => h("div", { "data-key": probe.name },
          h("label", {}, h("input", { type: "checkbox", "data-probe": probe.name, checked: probe.on, disabled: Boolean(fixed.probes) }), h("b", {}, probe.name), h("span", { class: "small" }, probe.summary)),
          probe.fields.length ? h("div", { class: "fields" }, probe.fields.flatMap((field) => [...fieldRows([field], state.wrong), h("span", { class: "small", "data-key": `${field.path}-help` }, field.help)])) : null))))),
    h("div", { class: "beside" }, textCard(state, own), checkCard(state, own)));
}

const TEXT_MS = 350;

function listenToNew(el, own, send, draw) {
  const waiting = {}; // a text that is typed goes out when its writer rests, or leaves it to press Start
  const now = (what) => {
    if (!waiting[what]) return;
    const { timer, value } = waiting[what];
    clearTimeout(timer);
    delete waiting[what];
    send({ do: what, value });
  };
  const later = (what, value) => {
    clearTimeout(waiting[what]?.timer);
    waiting[what] = { value, timer: setTimeout(() => now(what), TEXT_MS) };
  };
  el.addEventListener("input", ({ target }) => {
    if ("loss" in target.dataset) {
      own.lossText = target.value;
      later("loss", target.value);
      draw();
    } else if (target.dataset.paper) {
      own.paper = { kind: target.dataset.paper, text: target.value };
      later(target.dataset.paper, target.value);
      draw();
    } else if ("sought" in target.dataset) {
      own.sought = target.value;
      draw();
    } else if (target.dataset.slide) {
      const value = Number(Number(target.value).toPrecision(3));
      const box = el.querySelector(`[data-edit="${CSS.escape(target.dataset.slide)}"]`);
      if (box) box.value = value;
      if (target.dataset.slide === `stages.${own.state.stage_name}.terms.${own.state.target?.key}.temperature`) {
        own.heat = value;
        draw();
      }
    }
  });
  el.addEventListener("change", ({ target }) => {
    const { edit, slide, probe } = target.dataset;
    if ("sweep" in target.dataset || "sweepPath" in target.dataset) {
      const [path, values] = [el.querySelector("[data-sweep-path]").value, el.querySelector("[data-sweep]").value];
      send({ do: "sweep", path, value: path ? values : "" });
    }
    if (slide) send({ do: "edit", path: slide, value: String(Number(Number(target.value).toPrecision(3))) });
    else if (target.dataset.stageName) send({ do: "rename-stage", path: target.dataset.stageName, value: target.value.trim() });
    else if (edit) send({ do: "edit", path: edit, value: target.type === "checkbox" ? String(target.checked) : target.value });
    else if (probe) send({ do: "probe", value: probe });
    else if ("file" in target.dataset) opened(target.files[0], send);
    own.heat = undefined;
  });
  el.addEventListener("focusout", ({ target }) => {
    if ("loss" in target.dataset) now("loss");
    if (target.dataset.paper) now(target.dataset.paper);
    if ("loss" in target.dataset && own.lossText === own.state.loss.text) own.lossText = undefined;
    if (target.dataset.paper && own.paper && own.paper.text === own.state.text[own.paper.kind]) own.paper = undefined;
  });
  el.addEventListener("click", ({ target }) => {
    const pressed = target.closest?.("button");
    if (!pressed || pressed.disabled) return;
    const { data } = { data: pressed.dataset };
    if ("adding" in data) {
      own.adding = !own.adding;
      draw();
      el.querySelector("[data-sought]")?.focus();
    } else if (data.add) {
      own.adding = own.lossText = undefined;
      send({ do: "add", value: data.add });
    } else if (data.remove) {
      own.lossText = undefined;
      send({ do: "remove", value: data.remove });
    } else if (data.mend || data.fix) {
      const { error } = own.state.loss;
      const text = own.state.loss.text;
      own.lossText = own.paper = undefined;
      if (data.mend) send({ do: "loss", value: text.slice(0, error.start) + data.mend + text.slice(error.end) });
      else send({ do: "edit", path: data.fix, value: data.value });
    } else if ("stageAdd" in data || data.stage || data.stageRemove) {
      own.lossText = own.paper = own.adding = undefined;
      if (data.stage) send({ do: "stage", value: data.stage });
      else if (data.stageRemove) send({ do: "remove-stage", value: data.stageRemove });
      else send({ do: "add-stage" });
    } else if (data.kind) {
      own.kind = data.kind;
      own.paper = undefined;
      draw();
    } else if ("copy" in data) {
      copyPaper(el, own, draw);
    } else if ("open" in data) el.querySelector("[data-file]").click();
    else if ("save" in data) saveText(own.state.text.yaml, "experiment.yaml");
  });
  el.addEventListener("keydown", (event) => {
    const writing = ["TEXTAREA", "INPUT"].includes(event.target.nodeName) && event.target.type !== "checkbox";
    if (event.key === "Enter" && "loss" in event.target.dataset) event.preventDefault();
    if (event.key === "Escape" && own.adding) {
      own.adding = false;
      draw();
    }
    if (!writing && (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
      event.preventDefault();
      own.lossText = own.paper = undefined;
      send({ do: event.shiftKey ? "redo" : "undo" });
    }
  });
  el.addEventListener("dragover", (event) => event.preventDefault());
  takeCarried(send); // a file dropped on Start
  el.addEventListener("drop", (event) => {
    event.preventDefault();
    opened(event.dataTransfer.files[0], send);
  });
}

// A file too large to be an experiment stays here; that it was too large, or cannot be read (a folder), is said.
const LARGEST = 100_000;
const opened = (file, send) =>
  file && (file.size > 4 * LARGEST ? send({ do: "open", size: file.size }) : file.text().then(
    (value) => send({ do: "open", value: value.slice(0, LARGEST + 1) }), () => send({ do: "open", unreadable: true })));

async function copyPaper(el, own, draw) {
  // Without TLS a browser gives no clipboard; then the text stands there, selected.
  const text = own.state.text[own.kind ?? "yaml"];
  const copied = await (navigator.clipboard?.writeText(text).then(() => true, () => false) ?? false);
  own.copied = copied ? "Copied" : "Press Ctrl C";
  draw();
  if (!copied) el.querySelector("[data-paper]")?.select();
  setTimeout(() => { own.copied = null; draw(); }, 1500);
}

function saveText(text, name) {
  const link = h("a", { href: URL.createObjectURL(new Blob([text], { type: "text/yaml" })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// What somebody types stays while an older answer comes; once Python agrees, Python's text stands.
function settleNew(own, focused) {
  if (own.lossText !== undefined && !(focused && "loss" in focused.dataset)) own.lossText = undefined;
  if (own.paper && !(focused?.dataset.paper)) own.paper = undefined;
}
