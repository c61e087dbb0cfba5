// ---- a trace on a canvas, as Plotly draws them: for stand_in.js ---------------------------------------------

function axesOf({ xaxis = "x", yaxis = "y" }, full) {
  const [x, y] = [full[axisName(xaxis)], full[axisName(yaxis)]];
  return { x, y, across: (value) => x._offset + x.d2p(value), down: (value) => y._offset + y.d2p(value) };
}

function painted(brush, trace, layout, full) {
  const on = axesOf(trace, full);
  brush.save();
  if (trace.cliponaxis !== false) {
    brush.beginPath();
    brush.rect(on.x._offset, on.y._offset, on.x._length, on.y._length);
    brush.clip();
  }
  brush.globalAlpha = trace.opacity ?? 1;
  ({ heatmap: cellsPainted, bar: barsPainted, scatter: pointsPainted })[trace.type](brush, trace, on, layout);
  brush.restore();
}

// Pixels of the edges of a row or column of cells. Plotly stretches a picture of one dot a cell where there are no gaps,
// and else rounds each edge from the left or the top on; so do we, or cells would shift when it follows.
function edgesOf(trace, letter, number, place) {
  const given = trace[letter];
  const step = given ? 1 : trace[`d${letter}`];
  const first = (given ? given[0] : trace[`${letter}0`]) - step / 2;
  const exact = Array.from({ length: number + 1 }, (_, k) => place(first + k * step));
  const origin = Math.min(exact[0], exact[number]);
  if (trace.xgap || trace.ygap) return exact.map((at) => Math.round(origin) + Math.round(at - origin));
  const cell = Math.round(Math.abs(exact[number] - exact[0])) / number;
  const counts = exact[number] > exact[0] ? (k) => k : (k) => number - k;
  return exact.map((_, k) => Math.ceil(origin + counts(k) * cell - 0.5));
}

function cellsPainted(brush, trace, { across, down }, layout) {
  const { z, xgap = 0, ygap = 0 } = trace;
  if (!z.length) return;
  const { cmin: low, cmax: high, colorscale } = trace.coloraxis
    ? layout[trace.coloraxis]
    : { cmin: trace.zmin, cmax: trace.zmax, colorscale: trace.colorscale };
  const stops = colorscale.map(([at, colour]) => [at, channels(colour)]);
  const columns = edgesOf(trace, "x", z[0].length, across);
  const rows = edgesOf(trace, "y", z.length, down);
  const [left, top] = [xgap, ygap].map((gap) => Math.floor(gap / 2));
  for (let r = 0; r < z.length; r++)
    for (let c = 0; c < z[r].length; c++) {
      if (!Number.isFinite(z[r][c])) continue;
      brush.fillStyle = between(stops, (z[r][c] - low) / (high - low));
      brush.fillRect(columns[c] + left, rows[r + 1] + top, columns[c + 1] - columns[c] - xgap, rows[r] - rows[r + 1] - ygap);
    }
}

function channels(colour) {
  if (colour.startsWith("#")) return [...rgb(colour), 1];
  const [red, green, blue, alpha = 1] = colour.match(/[\d.]+/g).map(Number);
  return [red, green, blue, alpha];
}

function between(stops, position) {
  const at = Math.min(Math.max(position, 0), 1);
  const next = Math.max(1, stops.findIndex(([stop]) => at <= stop));
  const [[low, from], [high, to]] = [stops[next - 1], stops[next]];
  const share = high > low ? (at - low) / (high - low) : 1;
  const mixed = from.map((c, k) => c + (to[k] - c) * share);
  return `rgba(${mixed.slice(0, 3).map(Math.round).join(",")},${mixed[3]})`;
}

function barsPainted(brush, { x, y, width, base, marker }, { across, down, y: axis }) {
  const floor = axis._offset + axis._length;
  const edge = marker.line ?? {};
  for (let k = 0; k < x.length; k++) {
    const low = base ? base[k] ?? base : 0;
    const [left, right] = [-0.5, 0.5].map((side) => Math.round(across(x[k] + side * (width[k] ?? width))));
    const bottom = axis.type === "log" && low <= 0 ? floor : Math.round(down(low));
    const top = Math.round(down(base ? low + y[k] : y[k]));
    if (![left, right, top, bottom].every(Number.isFinite)) continue;
    brush.beginPath();
    brush.rect(left, top, right - left, bottom - top);
    brush.fillStyle = marker.color;
    brush.fill();
    if (edge.width) stroked(brush, edge.color, edge.width);
  }
}

function stroked(brush, colour, width, dash = "solid") {
  brush.strokeStyle = colour;
  brush.lineWidth = width;
  brush.setLineDash(dashesOf(dash, width));
  brush.stroke();
  brush.setLineDash([]);
}

function dashesOf(dash, width) {
  const unit = Math.max(width, 3);
  const named = { solid: [], dot: [1, 1], dash: [3, 3], longdash: [5, 5], dashdot: [3, 1, 1, 1] }[dash];
  return named ? named.map((length) => length * unit) : dash.split(",").map((length) => parseFloat(length));
}

function pointsPainted(brush, trace, on, { font }) {
  const { mode = "", error_y: error } = trace;
  const xs = Array.from(trace.x, (value) => (value === null ? NaN : on.across(value)));
  const ys = Array.from(trace.y, (value) => (value === null ? NaN : on.down(value)));
  if (trace.fill || mode.includes("lines")) linePainted(brush, trace, xs, ys);
  if (error) errorsPainted(brush, error, trace.y, xs, on);
  for (let k = 0; k < xs.length; k++) {
    if (!Number.isFinite(xs[k]) || !Number.isFinite(ys[k])) continue;
    if (mode.includes("markers")) markerPainted(brush, trace.marker, k, xs[k], ys[k]);
    if (mode === "text" && trace.text[k]) {
      const { size = font.size, color = font.color } = trace.textfont ?? {};
      brush.font = `${size}px ${font.family}`;
      brush.textAlign = "center";
      brush.fillStyle = Array.isArray(color) ? color[k] : color;
      brush.fillText(trace.text[k], xs[k], ys[k] + size / 4); // where Plotly puts the line of the letters
    }
  }
}

function linePainted(brush, { fill, fillcolor, mode = "", line = {} }, xs, ys) {
  brush.beginPath();
  let [open, last] = [false, NaN];
  for (let k = 0; k < xs.length; k++) {
    const seen = Number.isFinite(xs[k]) && Number.isFinite(ys[k]);
    if (seen && open && line.shape === "hv") brush.lineTo(xs[k], last);
    if (seen) brush[open ? "lineTo" : "moveTo"](xs[k], ys[k]);
    [open, last] = [seen, ys[k]];
  }
  if (fill) {
    brush.fillStyle = fillcolor;
    brush.fill();
  }
  if (mode.includes("lines") && (line.width ?? 2) > 0 && line.color) stroked(brush, line.color, line.width ?? 2, line.dash);
}

function errorsPainted(brush, { array, arrayminus, color, thickness = 2 }, values, xs, { down }) {
  brush.beginPath();
  for (let k = 0; k < xs.length; k++) {
    const [top, low] = [down(values[k] + array[k]), down(values[k] - (arrayminus ?? array)[k])];
    if (![xs[k], top, low].every(Number.isFinite)) continue;
    brush.moveTo(xs[k], low);
    brush.lineTo(xs[k], top);
  }
  stroked(brush, color, thickness);
}

const itemOf = (value, k) => (Array.isArray(value) || ArrayBuffer.isView(value) ? value[k] : value);

function markerPainted(brush, marker, k, x, y) {
  const [symbol, open] = (itemOf(marker.symbol, k) ?? "circle").split("-");
  const [colour, half] = [itemOf(marker.color, k), (itemOf(marker.size, k) ?? 6) / 2];
  const before = brush.globalAlpha;
  brush.globalAlpha = before * (marker.opacity ?? 1);
  brush.beginPath();
  if (symbol === "circle") brush.arc(x, y, half, 0, 2 * Math.PI);
  else if (symbol === "square") brush.rect(x - half, y - half, 2 * half, 2 * half);
  else for (const [right, up] of [[0, -1], [1, 0], [0, 1], [-1, 0]]) brush.lineTo(x + 1.3 * half * right, y + 1.3 * half * up);
  brush.closePath();
  brush.fillStyle = colour;
  if (!open) brush.fill();
  const edge = marker.line ?? {};
  if (open || edge.width) stroked(brush, open ? colour : itemOf(edge.color, k), edge.width || 1);
  brush.globalAlpha = before;
}

