// ---- what a person toggled ------------------------------------------------------------------------------------

// The trait `toggles` holds it: name and value of each control, and of the chosen cell's row and column, that is not as
// it was first; an option that has a name stands there by its name, for its value is a place in one frame (since.py). On
// the page values may be text, as an address has them. What a frame has not stays there, for the frame that has it.
const heldAs = ({ name, value }) => name ?? value;
const asOption = ({ options, of, count }, text, facts) =>
  options ? (options.find((one) => String(heldAs(one)) === text) ?? options.find(({ value }) => String(value) === text))?.value
    : /^\d{1,6}$/.test(text) && Number(text) < (count ?? facts[of].length) ? Number(text) : undefined;

// All that can be toggled in a frame.
const toggling = ({ range }, frame) => [...range.controls(frame),
  ...(frame.cursor ? [frame.cursor.x, frame.cursor.y].map(({ state: name, count }) => ({ name, count })) : [])];

// The part of a frame's state that these toggles say.
function toggled(view, frame) {
  const told = view.model.get("toggles") ?? {};
  const found = {};
  for (const control of toggling(view, frame)) {
    const value = control.name in told ? asOption(control, String(told[control.name]), frame.facts) : undefined;
    if (value !== undefined) found[control.name] = value;
  }
  return found;
}

// Of a change: what is a toggle of the frame on screen goes into the trait, and no longer stands in `chosen`.
function toggle(view, change) {
  const { frame, model } = view;
  const before = model.get("toggles") ?? {};
  const now = { ...before };
  const known = toggling(view, frame);
  for (const name of Object.keys(change)) {
    const control = known.find((one) => one.name === name);
    if (!control && !(name in before)) continue;
    delete view.chosen[name];
    const option = control?.options?.find(({ value }) => value === change[name]);
    if (change[name] === frame.state[name]) delete now[name];
    else now[name] = option ? heldAs(option) : change[name];
  }
  const names = Object.keys(now);
  if (names.length === Object.keys(before).length && names.every((name) => now[name] === before[name])) return;
  model.set("toggles", now);
  model.save_changes();
}
