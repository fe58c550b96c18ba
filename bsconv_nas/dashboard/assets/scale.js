// Axes: from values to pixels and back, and where ticks go.

export function makeScale(domain, range, log) {
  const to = log ? Math.log10 : (value) => value;
  const back = log ? (value) => 10 ** value : (value) => value;
  const [low, high] = domain.map(to);
  const slope = (range[1] - range[0]) / (high - low || 1);
  const scale = (value) => range[0] + (to(value) - low) * slope;
  scale.invert = (pixel) => back(low + (pixel - range[0]) / slope);
  scale.domain = domain;
  scale.ticks = (count) => (log ? logTicks(domain, count) : linearTicks(domain, count));
  return scale;
}

export function linearTicks([low, high], count) {
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const ratio = rough / power; // between steps, the nearer one by ratio
  const step = power * (ratio >= Math.sqrt(50) ? 10 : ratio >= Math.sqrt(10) ? 5 : ratio >= Math.SQRT2 ? 2 : 1);
  const ticks = [];
  // Multiples, not a running sum: ten times 0.2 is 2, ten steps of 0.2 are not.
  for (let count = Math.ceil(low / step); count * step <= high + step * 1e-9; count++) ticks.push(count * step);
  return ticks;
}

function logTicks([low, high], count) {
  for (const digits of [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 7]]) {
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
      for (const digit of digits) ticks.push(digit * 10 ** power);
    }
    const inside = ticks.filter((value) => value >= low * 0.9999 && value <= high * 1.0001);
    if (inside.length >= Math.min(4, count)) return inside.length <= count + 2 ? inside : thinned(inside, count);
  }
  return linearTicks([low, high], count).filter((value) => value > 0);
}

function thinned(ticks, count) {
  const step = Math.ceil(ticks.length / count);
  return ticks.filter((_, index) => index % step === 0);
}

// A domain around values with a margin on both sides.
export function paddedDomain(values, log, margin = 0.06) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value === null || !Number.isFinite(value) || (log && value <= 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low === Infinity) return log ? [1e5, 1e8] : [0, 1];
  if (log) {
    const factor = Math.max((high / low) ** margin, 1.08);
    return [low / factor, high * factor];
  }
  const space = (high - low || Math.abs(high) || 1) * margin;
  return [low - space, high + space];
}
