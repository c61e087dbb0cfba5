// The text beside the form in colours: keys, numbers, words, comments, and whose network it is.
// It is a copy under the text that is edited, so undo, selection and screen readers know nothing of it.

const PAINT = `
.paper .key { color: var(--wb-ink2); } .paper .num { color: var(--wb-measure4); } .paper .note { color: var(--wb-ink3); font-style: italic; }
.paper .sign { color: var(--wb-ink3); } .paper .str { color: var(--wb-ink); } .paper .word { color: var(--wb-measure4); font-weight: 600; }
`;

const NUMBER = /^[-+]?(\d[\d_]*(\.\d*)?|\.\d+)(e[-+]?\d+)?$/i;
const WORDS = /^(true|false|null|yes|no|on|off|~)$/i;
const LONGEST_PAINTED = 20_000;
const piece = (cls, text) => (text ? h("span", { class: cls }, text) : null);

// A plain value: a number, a truth value, else a word.
function scalar(text, cls) {
  const bare = text.trim();
  return piece(NUMBER.test(bare) ? "num" : WORDS.test(bare) ? "word" : (cls ?? "str"), text);
}

// Splits a line into quoted texts, brackets and commas, and what stands between; `#` after a blank begins a comment.
const isBlank = (letter) => letter === undefined || letter === " " || letter === "\t";
const isSign = (text, at) => "[]{},".includes(text[at]) || (text[at] === ":" && isBlank(text[at + 1]));
const isQuote = (text, at) => "\"'".includes(text[at]) && !/\w/.test(text[at - 1] ?? "");
const isNote = (text, at) => text[at] === "#" && isBlank(text[at - 1]);

function closing(text, from) {
  let at = from + 1;
  while (at < text.length && text[at] !== text[from]) at += text[from] === '"' && text[at] === "\\" ? 2 : 1;
  return Math.min(at + 1, text.length);
}

function* tokens(text) {
  let at = 0;
  while (at < text.length) {
    let [kind, end] = ["plain", at + 1];
    if (isNote(text, at)) [kind, end] = ["note", text.length];
    else if (isQuote(text, at)) [kind, end] = ["quoted", closing(text, at)];
    else if (isSign(text, at)) kind = "sign";
    else while (end < text.length && !isNote(text, end) && !isQuote(text, end) && !isSign(text, end)) end += 1;
    yield [kind, text.slice(at, end)];
    at = end;
  }
}

// One line of YAML; `whose` says in which colour a value stands that names a network or a term.
function yamlLine(line, whose) {
  const list = [...tokens(line)];
  return list.map(([kind, text], k) => {
    if (kind === "note" || kind === "sign") return piece(kind, text);
    const key = list[k + 1]?.[0] === "sign" && list[k + 1][1] === ":";
    if (key) {
      const [, dash, name] = /^(\s*(?:- )*)(.*)$/.exec(text);
      return [piece("sign", dash), piece("key", name)];
    }
    return kind === "quoted" ? piece("str", text) : scalar(text, whose);
  });
}

// Whose value each line holds, by indentation: the teacher's and student's name, a term by what it pulls towards.
function* owners(lines, state) {
  const path = [];
  const colours = Object.fromEntries(state.terms.map(({ key, colour }) => [key, colour]));
  for (const line of lines) {
    const found = /^(\s*)([\w-]+):(\s+\S.*)?$/.exec(line);
    if (!found) {
      yield "str";
      continue;
    }
    const [, { length }, key] = found;
    while (path.length && path.at(-1).depth >= length) path.pop();
    path.push({ depth: length, key });
    const names = path.map((one) => one.key);
    const [first, second] = names;
    if ((first === "teacher" || first === "student") && (names.length === 1 || (names.length === 2 && second === "use"))) yield first;
    else if (first === "stages" && second === state.stage_name && names[2] === "terms" && (names.length === 4 || names[4] === "use")) yield colours[names[3]] ?? "str";
    else yield "str";
  }
}

const PYTHON = /("(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?)|(#.*$)|\b(from|import|True|False|None)\b|\b(\d[\d_.]*(?:e[-+]?\d+)?)/g;

function pythonLine(line) {
  const made = [];
  let at = 0;
  for (const found of line.matchAll(PYTHON)) {
    made.push(line.slice(at, found.index));
    const key = found[1] && line.slice(found.index + found[0].length).trimStart().startsWith(":");
    made.push(piece(found[1] ? (key ? "key" : "str") : found[2] ? "note" : found[3] ? "word" : "num", found[0]));
    at = found.index + found[0].length;
  }
  return [...made, line.slice(at)];
}

// Lines of coloured pieces; plain where the text is too long to paint at each letter.
function painted(kind, text, state) {
  const lines = text.split("\n");
  if (text.length > LONGEST_PAINTED) return lines;
  if (kind !== "yaml") return lines.map(pythonLine);
  const whose = owners(lines, state);
  return lines.map((line) => yamlLine(line, whose.next().value));
}
