// ---- the whole card of a view as a picture: title, read line, plot, legend, footer, conditions ---------------------

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
    const plot = await plotSvg(view, copy.querySelector(".wb-plot").getBoundingClientRect(), copy.getBoundingClientRect());
    return svgOf(copy, conditions(view.frame).join("; "), plot);
  } finally {
    copy.remove();
  }
}

const cardPng = async (view) => pngOf(await cardSvg(view));

