// Downloads: plots as SVG and PNG as they look, trials as CSV and JSON.

import { el } from "./dom.js";

const COPIED = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-linecap", "stroke-linejoin", "font-family", "font-size", "font-weight", "opacity", "paint-order"];

export function save(name, type, content) {
  const link = el("a", { href: URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// The chart as a picture that stands alone: what style sheets say becomes attributes.
export function svgText(chart) {
  const copy = chart.svg.cloneNode(true);
  const [before, after] = [chart.svg, copy].map((node) => [node, ...node.querySelectorAll("*")]);
  before.forEach((node, index) => {
    const style = getComputedStyle(node);
    for (const name of COPIED) after[index].setAttribute(name, style.getPropertyValue(name));
    after[index].removeAttribute("class");
  });
  for (const node of copy.querySelectorAll("[role=slider]")) node.remove();
  const [, , width, height] = copy.getAttribute("viewBox").split(" ");
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  const ground = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [name, value] of [["width", width], ["height", height], ["fill", getComputedStyle(chart.host).getPropertyValue("--card-now") || getComputedStyle(chart.host.closest(".card")).backgroundColor]]) ground.setAttribute(name, value);
  copy.prepend(ground);
  return new XMLSerializer().serializeToString(copy);
}

export function saveSvg(chart, name) {
  save(`${name}.svg`, "image/svg+xml", svgText(chart));
}

export async function savePng(chart, name, scale = 2) {
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([svgText(chart)], { type: "image/svg+xml" }));
  await image.decode();
  const canvas = el("canvas", { width: image.width * scale, height: image.height * scale });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  canvas.toBlob((blob) => save(`${name}.png`, "image/png", blob), "image/png");
}

// A trial by column; its costs stand between its network and its accuracy.
function columnsOf(study, { number, state, identity, top1, allowed, started, completed, over, known, worker, objective, cost }) {
  const costs = study.metrics.map(({ id }) => [id, cost[id]]);
  return [["number", number], ["state", state], ["identity", identity], ...costs, ["top1", top1], ["allowed", allowed], ["started", started],
    ["completed", completed], ["over", over], ["known", known], ["worker", worker], ["objective", objective]];
}

export function saveCsv(study, rows, name) {
  const cell = (value) => (value === null || value === undefined ? "" : /[",\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
  const table = rows.map((row) => columnsOf(study, row));
  const header = columnsOf(study, { cost: {} }).map(([column]) => cell(column));
  const lines = [header, ...table.map((row) => row.map(([, value]) => cell(value)))];
  save(`${name}.csv`, "text/csv", `${lines.map((line) => line.join(",")).join("\n")}\n`);
}

export function saveJson(study, rows, front, name) {
  const value = { schema_version: 1, study: study.facts.name, objective: study.facts.objective, limits: study.facts.limits, front: front.map((row) => row.number), trials: rows.map((row) => ({ ...row.cost, ...row })) };
  save(`${name}.json`, "application/json", `${JSON.stringify(value, null, 1)}\n`);
}
