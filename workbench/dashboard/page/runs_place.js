// The place Runs: a queue if there is one, then every run in a table.

const HEADS = [
  ["status", "Status"], ["name", "Run"], ["seed", "Seed", "num"], ["apart", "Differs in"], ["student", "Student", "num"], ["teacher", "Teacher", "num"],
  ["control", "Control", "num"], ["time", "Time", "num"], ["group", "Group"], ["new", "Accepted", "num"],
];

function queueCard(queue, mayTouch) {
  if (!queue) return null;
  const acts = (run) => [
    run.front ? h("button", { type: "button", "data-key": "front", ...say("front", run.run), "aria-label": `To the front: ${run.name}, seed ${run.seed}` }, "To the front") : null,
    run.removable ? h("button", { type: "button", "data-key": "back", ...say("take_back", run.run), "aria-label": `Remove ${run.name}, seed ${run.seed}` }, "Remove") : null];
  return h("section", { class: "card queue", "data-key": "queue", "aria-label": "Queue" },
    h("div", { class: "row" }, h("h2", { class: "title" }, queue.head),
      h("span", { class: "read" }, queue.broken ? icon("△") : null, queue.words,
        queue.broken ? [" ", h("a", { href: `?run=${encodeURIComponent(queue.broken)}` }, "Open it")] : null)),
    h("ol", {}, queue.rows.map((run) =>
      h("li", { "data-key": run.run, "data-queued": run.run }, h("span", { class: "ink3" }, run.number),
        h("span", {}, h("a", { href: `?run=${encodeURIComponent(run.run)}` }, run.name), ` seed ${run.seed} `,
          run.apart ? [h("span", { class: "code" }, run.apart), " "] : null, h("span", { class: "ink3" }, run.run),
          h("div", { class: "small ink2" }, [run.starts, run.after].filter(Boolean).join(", "))),
        h("span", { class: "acts" }, mayTouch ? acts(run) : null)))));
}

// By which settings a run differs from what stands beside it; each filters the table.
function apartCell(run) {
  if (!run.apart.length) return h("span", { class: "ink3" }, run.apart_words || "–");
  return [
    run.apart.map(({ text, find }) =>
      h("button", { type: "button", class: "bare code", ...say("find", find), title: `Show runs with ${text}` }, text)),
    run.apart_more ? h("span", { class: "small ink3", title: run.apart_words }, ` and ${run.apart_more} more`) : null,
    h("div", { class: "small ink3" }, run.apart_than)];
}

function runRow(run, state) {
  const group = run.group ? h("a", { href: `?compare=${encodeURIComponent(run.run)}`, title: `Group of ${run.group}` }, run.group_words) : h("span", { class: "ink3" }, "–");
  const number = (who, words) => h("td", { class: `num ${who}`, title: words && run.n ? `test, ${run.n}` : null }, words || h("span", { class: "ink3" }, "–"));
  return h("tr", { "data-row": run.run, "data-key": run.run },
    h("td", {}, h("input", { type: "checkbox", ...say("choose", run.run), checked: state.chosen.includes(run.run),
      "aria-label": `Choose ${run.name}, seed ${run.seed}` })),
    h("td", { class: `nowrap ${run.status}` }, icon(run.icon), run.word,
      h("div", { class: "small ink3" }, run.step || "\u00a0")),
    h("td", {}, h("a", { class: "open", href: `?run=${encodeURIComponent(run.run)}` }, run.name),
      run.touched ? h("span", { class: "ink3" }, " touched") : null,
      h("div", { class: "small ink3" }, run.recipe && run.recipe !== run.name ? `${run.run} · recipe ${run.recipe}` : run.run),
      run.error ? h("div", { class: "small failed" }, run.error) : null),
    h("td", { class: "num" }, run.seed),
    h("td", { class: "apart" }, apartCell(run)),
    h("td", { class: "num student" }, run.student ? h("b", {}, run.student) : h("span", { class: "ink3" }, "–"),
      run.n ? h("div", { class: "small ink3" }, `test, ${run.n}`) : null),
    number("teacher", run.teacher), number("", run.control),
    h("td", { class: "num" }, run.time || h("span", { class: "ink3" }, "–"), run.slow && run.time ? h("div", { class: "small ink3" }, "slow motion") : null),
    h("td", { class: "nowrap late" }, group),
    h("td", { class: "num late ink2" }, run.when));
}

function runsPlace(state, own) {
  if (!state.address) return h("div", { class: "root" });
  if (!state.total)
    return h("div", { class: "root place" }, h("h1", {}, "Runs"), said(state),
      h("section", { class: "card empty" }, nothingYet("No runs yet", DEMO, own, state)));
  const head = HEADS.map(([key, text, kind]) => {
    const now = state.sort === key;
    return h("th", { scope: "col", class: [kind, ["group", "new"].includes(key) ? "late" : ""].filter(Boolean).join(" ") || null,
      "aria-sort": now ? (state.falling ? "descending" : "ascending") : null },
      h("button", { type: "button", ...say("sort", key) }, text, now ? (state.falling ? " ↓" : " ↑") : ""));
  });
  const many = state.chosen.length;
  return h("div", { class: "root place" },
    h("div", { class: "head" }, listTitle(own, "runs", "Runs", state.address.slice(2)), h("span", { class: "ink2", role: "status" }, state.count),
      h("span", { class: "row" },
        many ? h("button", { type: "button", class: "bare", "data-key": "clear", ...say("clear") }, "Choose none") : null,
        many ? h("a", { class: "button", "data-key": "compare", href: `?compare=${state.compare.split(",").map(encodeURIComponent).join(",")}` },
          many > 1 ? `Compare ${many} runs` : "Compare with…") : h("span", { class: "ink3" }, "Tick runs to compare them."))),
    said(state), queueCard(state.queue, state.may),
    h("section", { class: "card sheet", "data-key": "sheet" },
      h("div", { class: "tools" }, findField(state, "Filter runs"),
        facet("status", "Status", state.statuses, state.status), facet("recipe", "Recipe", state.recipes, state.recipe)),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "All runs" },
        h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, h("span", { class: "unseen" }, "Choose")), head)),
          h("tbody", {}, state.rows.map((run) => runRow(run, state))))),
      state.rows.length ? null : h("p", { class: "empty" }, "No run has all that. Take a filter away."),
      h("div", { class: "foot small" },
        state.more ? [h("button", { type: "button", ...say("more") }, `Show more (${state.more} left)`), "  "] : null,
        "Student, teacher, control: accuracy on test, once read at the end of a run. A run is removed by ",
        h("span", { class: "code" }, "workbench rm RUN"), ".")));
}
