// ---- what a view shows as tables: the same text as sheets.py ------------------------------------------------------

const TEX = __WB_TEX__; // characters that LaTeX reads otherwise, from sheets.py

const oneLine = (text) => String(text).replaceAll("\r", " ").replaceAll("\n", " ");

// A float32 by the shortest text that means it; empty where there is no number.
function cellText(cell) {
  if (typeof cell !== "number") return String(cell ?? "");
  if (Number.isNaN(cell)) return "";
  if (!Number.isFinite(cell)) return cell > 0 ? "inf" : "-inf";
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(cell.toPrecision(digits));
    if (Math.fround(short) === Math.fround(cell)) return String(short);
  }
  return String(Number(cell.toPrecision(9)));
}

// A field that a spreadsheet would run as a formula is kept as text.
function quoted(text) {
  const formula = /^[=@]/.test(text) || (/^[+-]/.test(text) && Number.isNaN(Number(text)) && !/inf$/.test(text));
  const plain = formula ? `'${text}` : text;
  return /[,"\n\r]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}

function product(lists) {
  return lists.reduce((rows, list) => rows.flatMap((row) => Array.from(list, (item) => [...row, item])), [[]]);
}

const flat = (value) => (typeof value === "number" ? [value] : Array.from(value, (item) => flat(item)).flat());

function cells(array, at) {
  const whole = !at && ArrayBuffer.isView(array.data);
  return whole ? array.data : flat(take(array, at ?? []));
}

// {title, columns, rows} of each table that the frame declares over its arrays.
function sheetsOf(frame, arrays) {
  return (frame.tables ?? []).map(({ title, index, columns }) => {
    const places = product(index.map((part) => part.values ?? cells(arrays[part.array])));
    const numbers = columns.map(({ array, at }) => cells(arrays[array], at));
    const rows = places.map((place, k) => [...place, ...numbers.map((column) => column[k])]);
    return { title, columns: [...index, ...columns].map(({ name }) => name), rows };
  });
}

function conditions(frame) {
  const footer = frame.footer.filter(({ show }) => !show).map((run) => run.text ?? run.mark ?? run).join("");
  const step = frame.step >= 0 ? `step ${frame.step}` : "";
  return [[frame.title, step, footer].filter(Boolean).join(", "), frame.caption].filter(Boolean);
}

function csvOf(sheet, notes) {
  const lines = [sheet.title, ...notes].map((line) => `# ${oneLine(line)}`);
  lines.push(sheet.columns.map(quoted).join(","));
  for (const row of sheet.rows) lines.push(row.map((cell) => quoted(cellText(cell))).join(","));
  return `${lines.join("\n")}\n`;
}

const csv = (frame, arrays, more = []) =>
  sheetsOf(frame, arrays).map((sheet) => csvOf(sheet, [...conditions(frame), ...more])).join("\n");

const texEscaped = (text) => Array.from(oneLine(text), (letter) => TEX[letter] ?? letter).join("");

function shortCell(cell) {
  if (typeof cell !== "number" || !Number.isFinite(cell)) return cellText(cell);
  return String(Number(cell.toPrecision(4))).replace("-", "\u2212");
}

function latexOf(sheet, notes) {
  const row = (list) => `${list.map(texEscaped).join(" & ")} \\\\`;
  const figure = (cell) => typeof cell !== "string" || /^([-+\u2212[0-9]|$)/.test(cell);
  const sides = sheet.columns.map((_, k) => (sheet.rows.length && sheet.rows.every((cells_) => figure(cells_[k])) ? "r" : "l"));
  const told = [sheet.title, ...notes, "needs \\usepackage{booktabs}"].map((line) => `% ${oneLine(line)}`);
  const rows = sheet.rows.map((cells_) => row(cells_.map(shortCell)));
  const body = ["\\toprule", row(sheet.columns), "\\midrule", ...rows, "\\bottomrule"];
  return `${[...told, `\\begin{tabular}{${sides.join("")}}`, ...body, "\\end{tabular}"].join("\n")}\n`;
}

