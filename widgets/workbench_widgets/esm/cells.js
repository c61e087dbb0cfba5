// ---- samples counted into cells: what a skeleton asks for with $cells and $count, as cells.py counts -------

const countedBefore = new WeakMap(); // an array of places -> what was counted with it

function meantBy(tests, { arrays, state }) {
  return (tests ?? []).map(([name, value]) => [arrays[name], typeof value === "string" ? state[value.slice(1)] : value]);
}

// 1 for each sample that is meant: all of `where` hold, of `unless` not all. Null: every one is.
function meaning(where, unless, n) {
  const all = (tests) => {
    const found = new Uint8Array(n).fill(1);
    for (const [{ data }, value] of tests)
      if (Array.isArray(value)) for (let k = 0; k < n; k++) found[k] &= value.includes(data[k]);
      else for (let k = 0; k < n; k++) found[k] &= data[k] === value;
    return found;
  };
  if (!where.length && !unless.length) return null;
  const meant = all(where);
  const not = unless.length ? all(unless) : null;
  if (not) for (let k = 0; k < n; k++) meant[k] &= 1 - not[k];
  return meant;
}

function numberOf(asked, around) {
  const n = around.arrays[asked.of].data.length;
  const meant = meaning(meantBy(asked.where, around), meantBy(asked.unless, around), n);
  let found = meant ? 0 : n;
  for (let k = 0; meant && k < n; k++) found += meant[k];
  return found;
}

// Rows of a heat map; the same ones again while nothing that they are counted from has changed, so Plotly skips them.
function cellsOf(asked, around) {
  const { arrays } = around;
  const [where, unless] = [meantBy(asked.where, around), meantBy(asked.unless, around)];
  const used = [asked.x, asked.y, asked.mean, asked.over].map((name) => name && arrays[name]);
  const told = [...used, ...[...where, ...unless].flat()];
  const kept = countedBefore.get(used[0]) ?? new Map();
  countedBefore.set(used[0], kept);
  const key = JSON.stringify(asked);
  const before = kept.get(key);
  if (before?.told.every((one, k) => one === told[k])) return before.made;
  const made = counted(asked, used, meaning(where, unless, used[0].data.length));
  kept.set(key, { told, made });
  return made;
}

function counted({ side, rows, columns, least }, [x, y, mean, over], meant) {
  const number = new Float64Array(rows * columns);
  const total = mean ? new Float64Array(rows * columns) : null;
  const [xs, ys] = [x.data, y?.data];
  for (let k = 0; k < xs.length; k++) {
    const up = ys ? ys[k] : 0;
    if ((meant && !meant[k]) || !Number.isFinite(xs[k]) || !Number.isFinite(up)) continue;
    // What lies on the outer edge, or past it by rounding, belongs to the last cell.
    const column = Math.min(Math.max((xs[k] / side) | 0, 0), columns - 1);
    const cell = Math.min(Math.max((up / side) | 0, 0), rows - 1) * columns + column;
    if (mean) {
      const value = over ? (over.data[k] > least ? mean.data[k] / over.data[k] : NaN) : mean.data[k];
      if (!Number.isFinite(value)) continue;
      total[cell] += value;
    }
    number[cell]++;
  }
  const told = Float32Array.from(number, (n, k) => (n ? (mean ? total[k] / n : Math.log10(n)) : NaN));
  return Array.from({ length: rows }, (_, row) => told.subarray(row * columns, (row + 1) * columns));
}

