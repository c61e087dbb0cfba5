// ---- data as text ---------------------------------------------------------------------------------------------

function csv(frame, arrays) {
  const lines = [`# ${frame.title}, step ${frame.step}`];
  for (const [name, { data, shape }] of Object.entries(arrays)) {
    const wide = shape.length > 1 ? shape.at(-1) : 1;
    lines.push("", `# ${name} (${shape.join(" x ")})`);
    for (let k = 0; k < data.length; k += wide) lines.push(Array.from(data.subarray(k, k + wide)).join(","));
  }
  return lines.join("\n") + "\n";
}

function download(name, blob) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// ---- selection ------------------------------------------------------------------------------------------------

function inside(x, y, xs, ys) {
  let within = false;
  for (let k = 0, l = xs.length - 1; k < xs.length; l = k++)
    if (ys[k] > y !== ys[l] > y && x < ((xs[l] - xs[k]) * (y - ys[k])) / (ys[l] - ys[k]) + xs[k]) within = !within;
  return within;
}

function positionsIn(event, x, y) {
  const { range, lassoPoints } = event;
  const found = [];
  for (let k = 0; k < x.length; k++) {
    const hit = range
      ? x[k] >= Math.min(...range.x) && x[k] <= Math.max(...range.x) &&
        y[k] >= Math.min(...range.y) && y[k] <= Math.max(...range.y)
      : inside(x[k], y[k], lassoPoints.x, lassoPoints.y);
    if (hit) found.push(k);
  }
  return found;
}

function positionsOf(selected, ids) {
  if (!selected || selected.byteLength === 0 || !ids) return null;
  const bytes = bytesOf(selected).slice();
  const chosen = new Set(new Int32Array(bytes.buffer));
  return Array.from(ids.keys()).filter((k) => chosen.has(ids[k]));
}

