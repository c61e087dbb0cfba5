// ---- the whole card as a picture: title, read line, plot, legend, footer, conditions --------------------------------
// What a person sees is read off the page and written down as SVG: it knows no part, so it misses none. No foreign
// HTML is in it; every program that opens SVG shows the same.

const xml = (text) =>
  String(text).replace(/[&<>"\u0000-\u001f]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c] ?? " ");
const seen = (colour) => !/^(transparent|rgba\(.*, 0\))$/.test(colour);

// A copy beside the page, as wide as the card, in which nothing is cut off and nothing is a control any more.
function copied(view) {
  const copy = view.root.cloneNode(true);
  const own = view.root.getBoundingClientRect();
  copy.querySelectorAll(".wb-menu, .wb-sheet, .wb-said").forEach((node) => node.remove());
  copy.querySelectorAll('.wb-toggle button[aria-pressed="false"]').forEach((node) => node.remove());
  copy.querySelectorAll(".wb-list").forEach((node) => node.replaceWith(h("span", { class: "wb-read" }, node.selectedOptions[0]?.text ?? "")));
  copy.querySelectorAll(".wb-chip").forEach((node) => (node.textContent = node.textContent.replace(" ✕", "")));
  const cellsOf = (root) => root.querySelectorAll(".wb-cell");
  const heights = Array.from(cellsOf(view.root), (cell) => cell.offsetHeight);
  cellsOf(copy).forEach((cell, k) => (cell.style.height = `${heights[k]}px`));
  copy.querySelector(".wb-plot").replaceChildren();
  copy.querySelector(".wb-footer").style.whiteSpace = "normal";
  const middle = copy.querySelector(".wb-middle");
  const high = view.frame.skeleton ? view.middle.offsetHeight : 0;
  Object.assign(middle.style, { flex: "none", height: `${high}px` });
  const caption = h("div", { class: "wb-footer wb-caption" }, view.frame.caption ?? "");
  caption.style.whiteSpace = "normal";
  copy.append(caption);
  const away = { position: "fixed", left: "0", top: "0", zIndex: "-1", visibility: "visible", opacity: "0" };
  Object.assign(copy.style, away, { width: `${own.width}px`, height: "auto", minHeight: "0", containerType: "normal" });
  copy.setAttribute("aria-hidden", "true");
  copy.inert = true;
  return copy;
}

// Pieces of a text node, one a line, as the browser broke them; what an ellipsis hides is left out.
function textLines(node, right) {
  const range = document.createRange();
  const lines = [];
  let line = null;
  for (let k = 0; k < node.data.length; ) {
    const size = node.data.codePointAt(k) > 0xffff ? 2 : 1;
    range.setStart(node, k);
    range.setEnd(node, k + size);
    const [box] = range.getClientRects();
    const letter = node.data.slice(k, k + size);
    k += size;
    if (!box || (box.width === 0 && !letter.trim())) continue;
    if (!line || Math.abs(box.top - line.top) > 2) {
      line = { text: "", left: box.left, top: box.top, cut: false };
      lines.push(line);
    }
    if (box.right > right + 1) line.cut = true;
    else line.text += letter;
  }
  return lines.map((found) => (found.cut ? { ...found, text: `${found.text.slice(0, -1)}…` } : found));
}

const rulerOf = () => document.createElement("canvas").getContext("2d");

function written(node, style, right, origin, ruler) {
  ruler.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  const { fontBoundingBoxAscent: ascent } = ruler.measureText("x");
  return textLines(node, right).map(({ text, left, top }) => {
    const at = `x="${(left - origin.left).toFixed(2)}" y="${(top - origin.top + ascent).toFixed(2)}"`;
    const look = `font-size="${style.fontSize}" font-weight="${style.fontWeight}" fill="${xml(style.color)}"`;
    return `<text ${at} ${look} xml:space="preserve">${xml(text)}</text>`;
  });
}

function boxed(style, box, origin) {
  const wide = parseFloat(style.borderTopWidth) || 0;
  const whole = wide > 0 && style.borderLeftStyle !== "none" && parseFloat(style.borderLeftWidth) > 0;
  const filled = seen(style.backgroundColor);
  const at = (x, y) => `x="${(x - origin.left).toFixed(2)}" y="${(y - origin.top).toFixed(2)}"`;
  const made = [];
  if (filled || whole) {
    const inset = whole ? wide / 2 : 0;
    const size = `width="${Math.max(box.width - 2 * inset, 0)}" height="${Math.max(box.height - 2 * inset, 0)}"`;
    const edge = whole ? `stroke="${xml(style.borderTopColor)}" stroke-width="${wide}"` : "";
    const fill = filled ? xml(style.backgroundColor) : "none";
    made.push(`<rect ${at(box.left + inset, box.top + inset)} ${size} rx="${parseFloat(style.borderTopLeftRadius) || 0}" fill="${fill}" ${edge}/>`);
  }
  if (!whole && wide > 0 && style.borderTopStyle !== "none")
    made.push(`<rect ${at(box.left, box.top)} width="${box.width}" height="${wide}" fill="${xml(style.borderTopColor)}"/>`);
  return made;
}

// A small drawing of our own: its strokes take their colours from the page's style, so they are written out.
function drawing(node, box, origin) {
  const copy = node.cloneNode(true);
  const before = [node, ...node.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((part, k) => {
    const { fill, stroke, strokeWidth, strokeDasharray } = getComputedStyle(before[k]);
    Object.entries({ fill, stroke, "stroke-width": strokeWidth, "stroke-dasharray": strokeDasharray })
      .forEach(([name, value]) => part.setAttribute(name, value));
    part.removeAttribute("class");
  });
  const place = { x: box.left - origin.left, y: box.top - origin.top, width: box.width, height: box.height };
  Object.entries(place).forEach(([name, value]) => copy.setAttribute(name, value.toFixed(2)));
  return new XMLSerializer().serializeToString(copy);
}

function walked(node, right, origin, ruler) {
  if (node.nodeType === Node.TEXT_NODE) return written(node, getComputedStyle(node.parentElement), right, origin, ruler);
  if (node.nodeType !== Node.ELEMENT_NODE) return [];
  const style = getComputedStyle(node);
  if (style.display === "none" || style.visibility === "hidden") return [];
  const box = node.getBoundingClientRect();
  if (node instanceof SVGElement) return [drawing(node, box, origin)];
  const cut = style.overflowX === "hidden" ? Math.min(right, box.right) : right;
  return [...boxed(style, box, origin), ...[...node.childNodes].flatMap((child) => walked(child, cut, origin, ruler))];
}

// Plotly's own picture of the plot, placed where it stands in the card.
async function plotSvg(view, slot, origin) {
  if (!view.plotted || !view.frame.skeleton) return "";
  await view.standIn.settle();
  const { clientWidth: width, clientHeight: height } = view.plot;
  const made = await globalThis.Plotly.toImage(view.plot, { format: "svg", width, height, imageDataOnly: true });
  const text = made.startsWith("data:") ? decodeURIComponent(made.slice(made.indexOf(",") + 1)) : made;
  const place = `x="${(slot.left - origin.left).toFixed(2)}" y="${(slot.top - origin.top).toFixed(2)}"`;
  return text.slice(text.indexOf("<svg")).replace("<svg", `<svg ${place}`);
}

async function cardSvg(view) {
  const copy = copied(view);
  view.el.append(copy);
  try {
    const origin = copy.getBoundingClientRect();
    const slot = copy.querySelector(".wb-plot").getBoundingClientRect();
    const style = getComputedStyle(copy);
    const parts = walked(copy, origin.right, origin, rulerOf());
    const plot = await plotSvg(view, slot, origin);
    const [wide, high] = [Math.ceil(origin.width), Math.ceil(origin.height)];
    const size = `width="${wide}" height="${high}" viewBox="0 0 ${wide} ${high}"`;
    const title = `<title>${xml(conditions(view.frame).join("; "))}</title>`;
    const [card, ...rest] = parts; // the card's own surface lies below the plot, its words above
    const font = `font-family="${xml(style.fontFamily)}"`;
    const body = [title, card, plot, ...rest].join("\n");
    return { text: `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${font}>\n${body}\n</svg>\n`, wide, high };
  } finally {
    copy.remove();
  }
}

// PNG of the same picture, twice as many dots.
async function cardPng(view, scale = 2) {
  const { text, wide, high } = await cardSvg(view);
  const url = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  try {
    const image = new Image(wide, high);
    image.src = url;
    await image.decode();
    const canvas = h("canvas", { width: wide * scale, height: high * scale });
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    pen.drawImage(image, 0, 0, wide, high);
    return await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  } finally {
    URL.revokeObjectURL(url);
  }
}

