// Fronts and hypervolumes, as bsconv_nas/pareto.py defines them; the page needs its own for replays and dragged budgets.

export function isCandidate(row) {
  return row.state === "complete" && row.allowed && row.top1 !== null;
}

// A cost of a row by its name, or the one that the search makes low; undefined if the row has no such cost.
export function costOf(row, cost = null) {
  return cost === null ? row.objective : row.cost[cost];
}

// Non-dominated rows by a rising cost; of equal rows the one that was complete first.
export function frontOf(rows, cost = null) {
  const known = rows.filter((row) => isCandidate(row) && costOf(row, cost) !== undefined);
  const sorted = known.sort((a, b) => costOf(a, cost) - costOf(b, cost) || b.top1 - a.top1 || order(a, b));
  const front = [];
  let best = -Infinity;
  for (const row of sorted) {
    if (row.top1 > best) {
      front.push(row);
      best = row.top1;
    }
  }
  return front;
}

export function bestUnder(front, budget, cost = null) {
  let best = null;
  for (const row of front) if (budget === null || costOf(row, cost) <= budget) best = row;
  return best;
}

export function order(a, b) {
  return (a.completed ?? Infinity) - (b.completed ?? Infinity) || a.number - b.number;
}

// Costs as positions from 0 (cheapest) to 1 (limit), logarithmic: each doubling of cost counts the same.
export function costAxis(cheapest, limit) {
  if (limit <= cheapest) return () => 0;
  if (cheapest <= 0) return (cost) => (cost - cheapest) / (limit - cheapest);
  const span = Math.log(limit / cheapest);
  return (cost) => Math.log(cost / cheapest) / span;
}

export function hypervolume(front, axis, floor) {
  let area = 0;
  let edge = floor;
  for (const row of front) {
    const position = axis(row.objective);
    if (row.top1 > edge && position < 1) {
      area += (1 - position) * (row.top1 - edge);
      edge = row.top1;
    }
  }
  return area;
}

// Hypervolume and best accuracy after each completed trial: [{count, time, volume, best, row}] where they changed.
// Studies that are compared share an axis: `others` are the rows of the other ones.
export function progress(rows, { budget, floor, others = [] }) {
  const done = rows.filter((row) => row.completed !== null).sort(order);
  if (!done.some(isCandidate)) return [];
  const [cheapest, largest] = extremes([...rows, ...others].filter(isCandidate));
  const axis = costAxis(cheapest, budget ?? largest);
  const begin = Math.min(...done.slice(0, 50).map((row) => row.started ?? row.completed));
  const steps = [];
  let front = [];
  let best = null;
  done.forEach((row, index) => {
    if (isCandidate(row) && (budget === null || row.objective <= budget) && joins(front, row)) {
      front = insert(front, row);
      best = Math.max(best ?? 0, row.top1);
      steps.push(step(index, row, begin, hypervolume(front, axis, floor) / (1 - floor), best));
    }
  });
  const last = done[done.length - 1];
  if (steps.length) steps.push({ ...steps[steps.length - 1], ...place(done.length - 1, last, begin) });
  return steps;
}

function extremes(rows) {
  return [rows.reduce((m, row) => Math.min(m, row.objective), Infinity), rows.reduce((m, row) => Math.max(m, row.objective), -Infinity)];
}

function place(index, row, begin) {
  return { count: index + 1, time: row.completed - begin };
}

function step(index, row, begin, volume, best) {
  return { ...place(index, row, begin), volume, best, row };
}

function joins(front, row) {
  return !front.some((other) => other.objective <= row.objective && other.top1 >= row.top1);
}

function insert(front, row) {
  const kept = front.filter((other) => other.objective < row.objective || other.top1 > row.top1);
  return [...kept, row].sort((a, b) => a.objective - b.objective);
}
