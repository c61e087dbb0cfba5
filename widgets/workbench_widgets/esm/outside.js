// ---- in a notebook -------------------------------------------------------------------------------------------

const ALIVE = "wb-alive";

// The cell's next output is a picture of this view, for readers without a kernel: it is not shown beside the view.
// Null while the view is not in a cell yet; else what takes the mark away again.
function hidePicture(el, model) {
  if (!model.get("kept")) return () => null;
  const output = el.closest(".jp-OutputArea-child");
  if (!output) return null;
  if (!document.getElementById(ALIVE))
    document.head.append(h("style", { id: ALIVE }, `.${ALIVE} + .jp-OutputArea-child:has(.jp-RenderedImage) { display: none; }`));
  output.classList.add(ALIVE);
  return () => output.classList.remove(ALIVE);
}
