// ---- plotly.js: once a page, from a URL (Panel) or over the widget's own channel (Jupyter) --------------------

const PAGE = Symbol.for("workbench-widgets/plotly");

function script(url) {
  return new Promise((resolve, reject) => {
    const tag = document.createElement("script");
    tag.src = url;
    tag.onload = () => resolve(globalThis.Plotly);
    tag.onerror = () => reject(new Error(`plotly.js did not load from ${url}`));
    document.head.append(tag);
  });
}

async function unpacked(buffer) {
  const packed = new Blob([bytesOf(buffer)]).stream().pipeThrough(new DecompressionStream("gzip"));
  const url = URL.createObjectURL(new Blob([await new Response(packed).blob()], { type: "text/javascript" }));
  try {
    return await script(url);
  } finally {
    URL.revokeObjectURL(url);
  }
}

function overChannel(model) {
  return new Promise((resolve) => {
    const receive = (message, buffers) => {
      if (message?.kind !== "plotlyjs") return;
      model.off("msg:custom", receive);
      resolve(buffers[0]);
    };
    model.on("msg:custom", receive);
    model.send({ kind: "want-plotlyjs" });
  }).then(unpacked);
}

function plotly(model, gone) {
  const page = (globalThis[PAGE] ??= {});
  if (!page.carried) page.carried = new Promise((resolve) => (page.carry = resolve));
  const url = model.get("plotly_url");
  const canSend = typeof model.send === "function"; // Panel's model cannot
  const bytes = canSend && !globalThis.Plotly ? model.get("plotly_gz") : null;
  if (bytes?.byteLength && !page.unpacking) {
    // A kernel that is busy cannot answer a request; what came with a view's state needs no answer.
    page.unpacking = true;
    unpacked(bytes).then(page.carry, () => (page.unpacking = false));
  }
  if (page.loading) return page.loading;
  if (!url && !canSend) return Promise.reject(new Error("No plotly_url, and this page has no channel to Python."));
  const asked = url ? script(url) : page.unpacking ? page.carried : Promise.race([overChannel(model), page.carried]);
  const loading = asked.catch((error) => {
    page.loading = null; // the next draw may try again
    throw error;
  });
  page.loading = loading;
  // If the view that asked goes away first, its answer never comes: let the next view ask for itself.
  if (!url) gone.then(() => !globalThis.Plotly && page.loading === loading && (page.loading = null));
  return loading;
}

// ---- the page's theme -----------------------------------------------------------------------------------------

function themeOf(model, el) {
  const wanted = model.get("theme");
  if (wanted === "light" || wanted === "dark") return wanted;
  const { documentElement: html, body } = document;
  if (html.classList.contains("dark") || html.dataset.theme === "dark") return "dark";
  if (html.dataset.theme === "light") return "light";
  if (body?.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false" ? "dark" : "light";
  const host = el.getRootNode() instanceof ShadowRoot ? el.getRootNode().host : el;
  const channels = getComputedStyle(host.parentElement ?? html).color.match(/[\d.]+/g);
  if (channels) return luminance(channels.slice(0, 3).map(Number)) > 0.4 ? "dark" : "light";
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

function watchTheme(changed) {
  const watcher = new MutationObserver(changed);
  const options = { attributes: true, attributeFilter: ["class", "style", "data-theme", "data-jp-theme-light"] };
  for (const node of [document.documentElement, document.body]) if (node) watcher.observe(node, options);
  const preference = matchMedia("(prefers-color-scheme: dark)");
  preference.addEventListener("change", changed);
  return () => {
    watcher.disconnect();
    preference.removeEventListener("change", changed);
  };
}

