// ---- what a person toggled ------------------------------------------------------------------------------------

// The trait `toggles` holds it: name and value of each control that is not as it was first. On the page values may be
// text, as an address has them. What a frame has not stays there, for the frame that has it.
const asOption = ({ options, of }, text, facts) =>
  options ? options.find(({ value }) => String(value) === text)?.value
    : /^\d{1,6}$/.test(text) && Number(text) < facts[of].length ? Number(text) : undefined;

// The part of a frame's state that these toggles say.
function toggled(model, frame) {
  const told = model.get("toggles") ?? {};
  const found = {};
  for (const control of frame.controls) {
    const value = control.name in told ? asOption(control, String(told[control.name]), frame.facts) : undefined;
    if (value !== undefined) found[control.name] = value;
  }
  return found;
}

// Of a change: what is a toggle of the frame on screen goes into the trait, and no longer stands in `chosen`. A range
// of steps is the page's own, see range.js.
function toggle(view, change) {
  const { frame, model } = view;
  const before = model.get("toggles") ?? {};
  const now = { ...before };
  for (const { name } of frame.controls) {
    if (!(name in change) || change[name] === "range") continue;
    delete view.chosen[name];
    if (change[name] === frame.state[name]) delete now[name];
    else now[name] = change[name];
  }
  const names = Object.keys(now);
  if (names.length === Object.keys(before).length && names.every((name) => now[name] === before[name])) return;
  model.set("toggles", now);
  model.save_changes();
}
