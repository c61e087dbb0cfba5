// Below the numbers of a finished run: what to do next.

const AFTER = `
.after { margin-top: 10px; display: flex; flex-wrap: wrap; gap: 6px; align-items: center; }
.after .read { flex: 1 0 100%; }
.root .after a { display: inline-flex; align-items: center; min-height: 26px; padding: 0 10px; border: 1px solid var(--wb-line-strong);
  border-radius: 5px; text-decoration: none; }
.root .after a:hover { border-color: var(--wb-ink3); }
.root .after .read a { display: inline; min-height: 0; padding: 0; border: 0; text-decoration: underline; }
`;

function after(told) {
  if (!told) return null;
  const compare = told.compare.split(",").map(encodeURIComponent).join(",");
  const replay = told.replay;
  const sign = { equal: "✓", differs: "△", refused: "✕", working: "…" };
  return h("div", { class: "after", "data-key": "after" },
    told.more ? button([icon("▶"), told.more], "more_seeds", { class: "primary", title: told.about ? `One after the other, ${told.about} in all` : "One after the other" }) : null,
    h("a", { href: `?compare=${compare}` }, told.group ? `Compare ${told.group}` : "Compare"),
    button(replay?.state === "working" ? "Replaying…" : "Replay bit for bit", "replay", { disabled: replay?.state === "working", title: "Trains it once more, writes nothing, and says whether every bit is the same" }),
    told.more && told.about ? h("span", { class: "read" }, `Further seeds take ${told.about}, at full speed.`) : null,
    told.queue ? h("span", { class: "read", role: "status" }, `${told.queue} `, h("a", { href: "?runs=" }, "See the queue")) : null,
    replay ? h("span", { class: "read", role: "status", "data-replay": replay.state }, icon(sign[replay.state]), replay.words) : null);
}
