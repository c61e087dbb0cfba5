function render({ model, el }) {
  const view = new View(model, el);
  return () => view.stop();
}

export default { render, fill, decode, rangeKeeper };
