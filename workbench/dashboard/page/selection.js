// The one selection of the page: sample ids, whoever chose them. It stands in `globalThis[CHOSEN]`; the event
// "workbench-selected" tells views, scrubber, inspector and notice; the address holds it as text (see select_text.py);
// the server then sends the frames of these samples.

const CHOSEN = Symbol.for("workbench/selected");
const TURNED = "workbench-selected"; // told to everyone: {ids, how}
const WANTED = "workbench-select"; // asked by a view: {ids, how}
const LONGEST_TEXT = 400;
const PACKED = "~";

const noSelection = () => ({ ids: new Int32Array(0), text: "", how: "", words: "" });
globalThis[CHOSEN] ??= noSelection();

// The same two forms as select_text.py: `3,7-12`, or the gaps between ids, packed.
function idsText(ids) {
  const runs = [];
  for (const id of ids) {
    const last = runs.at(-1);
    if (last && id === last[1] + 1) last[1] = id;
    else runs.push([id, id]);
  }
  const plain = runs.map(([low, high]) => (low === high ? `${low}` : `${low}-${high}`)).join(",");
  return plain.length <= LONGEST_TEXT ? plain : PACKED + packedGaps(ids);
}

function packedGaps(ids) {
  const bytes = [];
  let before = -1;
  for (const id of ids) {
    let gap = id - before - 1;
    before = id;
    for (; gap > 127; gap >>>= 7) bytes.push((gap & 127) | 128);
    bytes.push(gap);
  }
  const letters = bytes.map((byte) => String.fromCharCode(byte)).join("");
  return btoa(letters).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

// Ids of a text that this page or its server wrote.
function textIds(text) {
  const ids = [];
  if (text.startsWith(PACKED)) {
    const letters = atob(text.slice(1).replaceAll("-", "+").replaceAll("_", "/"));
    let [gap, shift] = [0, 0];
    for (const letter of letters) {
      const byte = letter.charCodeAt(0);
      gap |= (byte & 127) << shift;
      shift += 7;
      if (byte & 128) continue;
      ids.push((ids.at(-1) ?? -1) + gap + 1);
      [gap, shift] = [0, 0];
    }
  } else
    for (const piece of text ? text.split(",") : []) {
      const [low, high = low] = piece.split("-").map(Number);
      for (let id = low; id <= high; id++) ids.push(id);
    }
  return ids;
}

class Selecting {
  constructor(own, tell) {
    Object.assign(this, { own, tell, opened: false });
    addEventListener(WANTED, ({ detail }) => this.take(detail.ids, detail.how));
    addEventListener("popstate", () => this.follow());
    addEventListener("keydown", (event) => {
      const typing = event.composedPath()[0].closest?.("input, textarea, select, dialog, [role=dialog], [role=menu]");
      if (event.key === "Escape" && !typing && !event.defaultPrevented && globalThis[CHOSEN].text) this.take([], "");
    });
  }

  // The server has read a link; only the first word counts, from then on the browser leads.
  told(selection) {
    if (this.opened || !selection) return;
    this.opened = true;
    if (!selection.text && !selection.words) return;
    this.put(textIds(selection.text), selection.text, selection.how, selection.words);
    history.replaceState(null, "", this.own.bar.link());
  }

  // A person has selected: one more entry of the history.
  take(ids, how) {
    this.opened = true;
    const sorted = Int32Array.from(new Set(ids)).sort();
    const text = idsText(sorted);
    const { text: before, words } = globalThis[CHOSEN];
    if (text === before && !words) return;
    Object.assign(looked, { lower: null, cell: null, sample: null }); // the inspector shows what was selected
    this.put(sorted, text, how, "");
    if (text === before) return;
    history.pushState(null, "", this.own.bar.link());
    this.tell({ do: "select", text, how });
  }

  // Back and Forward.
  follow() {
    const place = new URLSearchParams(location.search);
    const text = place.get("select") ?? "";
    if (place.get("run") !== this.own.bar.run || text === globalThis[CHOSEN].text) return;
    this.put(textIds(text), text, text && "from the address", "");
    this.tell({ do: "select", text, how: globalThis[CHOSEN].how });
  }

  put(ids, text, how, words) {
    const own = Int32Array.from(ids);
    globalThis[CHOSEN] = { ids: own, text, how, words };
    kept.turn(text);
    dispatchEvent(new CustomEvent(TURNED, { detail: { ids: Array.from(own), how } }));
  }
}

const withSelection = (query) => (globalThis[CHOSEN].text ? `${query}&select=${globalThis[CHOSEN].text}` : query);

// The strip under the top bar where a link named samples that there are not.
function misread(words) {
  return words ? h("div", { class: "notice quiet past", role: "status" }, icon("△"), h("div", {}, words)) : null;
}
