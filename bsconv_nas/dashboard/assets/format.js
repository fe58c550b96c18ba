// Numbers as people read them.

export function amount(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  for (const [suffix, scale] of [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (Math.abs(value) >= 0.9995 * scale) {
      const scaled = value / scale;
      const digits = Math.abs(scaled) < 9.995 ? 2 : Math.abs(scaled) < 99.95 ? 1 : 0;
      return scaled.toFixed(digits) + suffix;
    }
  }
  return Number.isInteger(value) ? String(value) : value.toPrecision(3);
}

export function shortAmount(value) {
  return amount(value).replace(/\.0+(?=[kMGT]|$)/, "").replace(/(\.\d*?)0+(?=[kMGT])/, "$1");
}

export function percent(top1, digits = 2) {
  return top1 === null || top1 === undefined ? "–" : `${(100 * top1).toFixed(digits)} %`;
}

export function points(difference) {
  const sign = difference > 0 ? "+" : difference < 0 ? "−" : "±";
  return `${sign}${Math.abs(100 * difference).toFixed(2)} points`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${Math.floor(seconds / 60)} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${String(minutes % 60).padStart(2, "0")} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function milliseconds(value) {
  return value === null || value === undefined ? "–" : `${+value.toPrecision(3)} ms`;
}

export function titled(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// How amounts of a cost are written, by its unit: in words, and at an axis.
const UNITS = {
  amount: { text: amount, tick: shortAmount },
  bytes: { text: (value) => (value === null || value === undefined ? "–" : `${amount(value)}B`), tick: (value) => `${shortAmount(value)}B` },
  ms: { text: milliseconds, tick: (value) => String(+value.toPrecision(3)) },
};

// An amount of a cost: alone, with the name of the cost, and at an axis. `metric` is a row of `Study.metrics`.
export function costAmount(metric, value) {
  return UNITS[metric.unit].text(value);
}

export function costText(metric, value) {
  return `${costAmount(metric, value)} ${metric.name}`;
}

export function costTick(metric, value) {
  return UNITS[metric.unit].tick(value);
}

export function clock(seconds) {
  return seconds === null ? "–" : new Date(1000 * seconds).toLocaleString([], { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
}

export function whole(value) {
  return Number(value).toLocaleString("en-US");
}

const NETWORK = { se: "squeeze-excitation", stem: "stem channels", shortcut: "shortcuts", head: "head channels" };

export function geneLabel(name) {
  const match = /^s(\d+)(?:\.l(\d+))?\.(\w+)$/.exec(name);
  if (!match) return NETWORK[name] ?? name;
  const layer = match[2] ? ` · layer ${match[2]}` : "";
  return `stage ${match[1]}${layer} · ${match[3]}`;
}
