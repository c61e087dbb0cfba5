// ---- what a person sees, written down as SVG -----------------------------------------------------------------------
// It is read off the page, so it knows no part and misses none. No foreign HTML is in it; every program that opens SVG
// shows the same. Views and the cards of the page share it.

const xml = (text) =>
  String(text).replace(/[&<>"\u0000-\u001f]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c] ?? " ");
const seen = (colour) => !/^(transparent|rgba\(.*, 0\))$/.test(colour);

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

function textsOf(node, style, right, origin, ruler) {
  ruler.font = `${style.fontWeight} ${style.fontSize} ${style.fontFamily}`;
  const { fontBoundingBoxAscent: ascent } = ruler.measureText("x");
  return textLines(node, right).map(({ text, left, top }) => {
    const at = `x="${(left - origin.left).toFixed(2)}" y="${(top - origin.top + ascent).toFixed(2)}"`;
    const look = `font-size="${style.fontSize}" font-weight="${style.fontWeight}" fill="${xml(style.color)}"`;
    return `<text ${at} ${look} xml:space="preserve">${xml(text)}</text>`;
  });
}

// Two colours in turn, as a tile of SVG: what a hatched bar is filled with.
function hatchOf(image) {
  const stops = image.match(/rgba?\([^)]*\)/g);
  const [first, second] = [stops[0], stops.at(-1)];
  const id = `hatch-${first.replace(/\W/g, "")}-${second.replace(/\W/g, "")}`;
  const tile = `<rect width="5" height="5" fill="${second}"/><rect width="2.5" height="5" fill="${first}"/>`;
  const turned = 'patternUnits="userSpaceOnUse" width="5" height="5" patternTransform="rotate(45)"';
  return { made: `<defs><pattern id="${id}" ${turned}>${tile}</pattern></defs>`, fill: `url(#${id})` };
}

function boxed(style, box, origin) {
  const wide = parseFloat(style.borderTopWidth) || 0;
  const whole = wide > 0 && style.borderLeftStyle !== "none" && parseFloat(style.borderLeftWidth) > 0;
  const hatch = style.backgroundImage.startsWith("repeating-linear-gradient") ? hatchOf(style.backgroundImage) : null;
  const filled = hatch || seen(style.backgroundColor);
  const at = (x, y) => `x="${(x - origin.left).toFixed(2)}" y="${(y - origin.top).toFixed(2)}"`;
  const made = hatch ? [hatch.made] : [];
  if (filled || whole) {
    const inset = whole ? wide / 2 : 0;
    const size = `width="${Math.max(box.width - 2 * inset, 0)}" height="${Math.max(box.height - 2 * inset, 0)}"`;
    const edge = whole ? `stroke="${xml(style.borderTopColor)}" stroke-width="${wide}"` : "";
    const fill = hatch ? hatch.fill : filled ? xml(style.backgroundColor) : "none";
    made.push(`<rect ${at(box.left + inset, box.top + inset)} ${size} rx="${parseFloat(style.borderTopLeftRadius) || 0}" fill="${fill}" ${edge}/>`);
  }
  if (!whole && wide > 0 && style.borderTopStyle !== "none")
    made.push(`<rect ${at(box.left, box.top)} width="${box.width}" height="${wide}" fill="${xml(style.borderTopColor)}"/>`);
  return made;
}

const DRAWN = ["fill", "stroke", "stroke-width", "stroke-dasharray", "opacity", "overflow", "font-size", "font-weight"];

// A drawing of our own: its strokes take their colours from the page's style, so they are written out.
function drawing(node, box, origin) {
  const copy = node.cloneNode(true);
  const before = [node, ...node.querySelectorAll("*")];
  [copy, ...copy.querySelectorAll("*")].forEach((part, k) => {
    const style = getComputedStyle(before[k]);
    for (const name of DRAWN) part.setAttribute(name, style.getPropertyValue(name));
    part.removeAttribute("class");
  });
  const place = { x: box.left - origin.left, y: box.top - origin.top, width: box.width, height: box.height };
  Object.entries(place).forEach(([name, value]) => copy.setAttribute(name, value.toFixed(2)));
  return new XMLSerializer().serializeToString(copy);
}

// An image of our own: its dots are in its address.
function pictured(node, style, box, origin) {
  const place = `x="${(box.left - origin.left).toFixed(2)}" y="${(box.top - origin.top).toFixed(2)}" width="${box.width}" height="${box.height}"`;
  return `<image ${place} style="image-rendering:${style.imageRendering}" href="${xml(node.src)}"/>`;
}

function walked(node, right, origin, ruler) {
  if (node.nodeType === Node.TEXT_NODE) return textsOf(node, getComputedStyle(node.parentElement), right, origin, ruler);
  if (node.nodeType !== Node.ELEMENT_NODE) return [];
  const style = getComputedStyle(node);
  if (style.display === "none" || style.visibility === "hidden") return [];
  const box = node.getBoundingClientRect();
  if (node instanceof SVGElement) return [drawing(node, box, origin)];
  if (node instanceof HTMLImageElement) return [...boxed(style, box, origin), pictured(node, style, box, origin)];
  const cut = style.overflowX === "hidden" ? Math.min(right, box.right) : right;
  return [...boxed(style, box, origin), ...[...node.childNodes].flatMap((child) => walked(child, cut, origin, ruler))];
}

// A picture of `copy`, which hangs in the page: {text, wide, high}. `under` is SVG that lies above the card's own surface
// and below its words.
function svgOf(copy, title, under = "") {
  const origin = copy.getBoundingClientRect();
  const style = getComputedStyle(copy);
  const [card, ...rest] = walked(copy, origin.right, origin, rulerOf());
  const [wide, high] = [Math.ceil(origin.width), Math.ceil(origin.height)];
  const size = `width="${wide}" height="${high}" viewBox="0 0 ${wide} ${high}"`;
  const font = `font-family="${xml(style.fontFamily)}"`;
  const body = [`<title>${xml(title)}</title>`, card, under, ...rest].join("\n");
  return { text: `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${font}>\n${body}\n</svg>\n`, wide, high };
}

// The same as PNG, twice as many dots.
async function pngOf({ text, wide, high }, scale = 2) {
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

function download(name, blob) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

function clipboard() {
  if (!navigator.clipboard) throw new Error("this page may not copy (it is neither https nor local). Save it instead.");
  return navigator.clipboard;
}

