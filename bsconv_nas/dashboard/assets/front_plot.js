// The plot of accuracy versus the cost that the search makes low (usually MACs), or another cost.

import { Chart } from "./chart.js";
import { byId, el, overlayKeys, replace, svg } from "./dom.js";
import { costAmount, costText, costTick, percent, shortAmount, titled } from "./format.js";
import { bestUnder, costOf, frontOf } from "./pareto.js";
import { paddedDomain } from "./scale.js";
import { resetZoom, zoomBy } from "./zoom.js";

// What can be shown or hidden: name, class, shape, and which rows.
const GROUPS = [
  { id: "front", text: "front", shape: "dot" },
  { id: "dominated", text: "dominated", shape: "dot" },
  { id: "stopped", text: "stopped early", shape: "triangle" },
  { id: "over", text: "over a limit", shape: "square" },
  { id: "failed", text: "failed", shape: "cross" },
  { id: "running", text: "in training", shape: "ring" },
  { id: "handmade", text: "hand-made, same training", shape: "diamond" },
  { id: "published", text: "published, full training (test)", shape: "square" },
];

export function frontPlot(app) {
  const chart = new Chart(byId("front-chart"), {
    label: "Accuracy versus cost of all networks; arrow keys move along the front",
    xLabel: "", yLabel: "Top-1 on held-out images", xLog: true,
    xFormat: shortAmount, yFormat: (value) => `${+(100 * value).toFixed(2)} %`,
    height: (width) => Math.max(320, Math.min(520, width * 0.56)),
    onPick: (point, shift) => pick(app, point, shift),
    tip: (point) => tip(app, point),
  });
  chart.svg.setAttribute("tabindex", 0);
  chart.svg.addEventListener("keydown", (event) => keys(app, chart, event));
  byId("zoom-in").onclick = () => zoomBy(chart, 0.7);
  byId("zoom-out").onclick = () => zoomBy(chart, 1 / 0.7);
  byId("zoom-reset").onclick = () => resetZoom(chart);
  byId("budget-reset").onclick = () => app.set({ budget: null });
  app.charts.front = chart;
  const choose = (cost) => {
    chart.view = null; // a zoom is of one axis
    app.set({ cost });
  };
  return (whole) => {
    const view = byCost(whole, costShown(app, whole, choose));
    const { label, name } = view.axis;
    const yLabel = view.study.facts.genes ? "Top-1" : "Top-1 on held-out images";
    Object.assign(chart.options, { xLabel: titled(label), xFormat: (value) => costTick(view.axis, value), xLog: isPositive(view), yLabel });
    byId("front-caption").hidden = Boolean(view.study.facts.genes);
    byId("front-title").textContent = `Accuracy versus ${name}`;
    byId("budget-reset").hidden = app.state.budget === null;
    const groups = grouped(view);
    drawLegend(app, view, groups);
    const layers = layersOf(app, view, groups);
    chart.draw(layers, { x: xDomain(view, layers), y: yDomain(layers) });
    chart.front = view.front;
  };
}

// The chosen cost, if the study has it, else the one that its search makes low. There is a button for each.
function costShown(app, { study }, choose) {
  const metrics = study.costColumns;
  const shown = metrics.some(({ id }) => id === app.state.cost) ? app.state.cost : study.facts.objective;
  const host = byId("costs");
  const buttons = JSON.stringify(metrics);
  if (host.dataset.buttons !== buttons) { // kept otherwise, and with it the focus
    host.dataset.buttons = buttons;
    replace(host, metrics.map(({ id, name, label }) => el("button", { type: "button", "data-cost": id, title: titled(label), onclick: () => choose(id) }, titled(name))));
  }
  for (const button of host.children) button.setAttribute("aria-pressed", String(button.dataset.cost === shown));
  return shown;
}

// The view with another cost than that of the search: its own front, and its limit as a line that cannot be moved.
function byCost(view, cost) {
  const axis = view.study.metric(cost);
  if (cost === view.study.facts.objective) return { ...view, cost, axis, main: true };
  const front = frontOf(view.rows, cost);
  const budget = view.study.facts.limits[cost] ?? null;
  const overlays = view.overlays.map((other) => ({ ...other, front: frontOf(other.rows, cost) }));
  return { ...view, cost, axis, main: false, front, budget, overlays, best: bestUnder(front, budget, cost) };
}

function grouped({ rows, front, study, cost }) {
  const members = new Set(front);
  const found = Object.fromEntries(GROUPS.map((group) => [group.id, []]));
  for (const row of rows) {
    if (costOf(row, cost) === undefined) continue;
    const y = row.top1 ?? row.latest;
    const point = { x: costOf(row, cost), y: row.state === "failed" ? null : y, row };
    if (members.has(row)) found.front.push(point);
    else if (row.state === "failed") found.failed.push(point);
    else if (row.state === "running") found.running.push(point);
    else if (!row.allowed) found.over.push(point);
    else if (row.state === "stopped") found.stopped.push(point);
    else found.dominated.push(point);
    if (row.top1 !== null && study.facts.references[row.identity]) found.handmade.push(point);
  }
  found.front.sort((a, b) => a.x - b.x);
  found.published = published(study, cost).flatMap((curve) => curve.points.map((point) => ({ x: point.macs, y: point.test_top1, published: point })));
  return found;
}

function published(study, cost) {
  return cost === "macs" ? study.facts.published : [];
}

function layersOf(app, view, groups) {
  const { study, best } = view;
  const shown = (id) => !app.state.hidden.has(id);
  const edge = view.budget ?? (groups.front.length ? groups.front[groups.front.length - 1].x : undefined);
  const layers = [];
  if (shown("published")) {
    for (const curve of published(study, view.cost)) {
      layers.push({ kind: "line", class: "published", points: curve.points.map((p) => ({ x: p.macs, y: p.test_top1 })) });
    }
    layers.push({ kind: "dots", class: "published", shape: "square", size: 3, points: groups.published, pick: true });
  }
  if (shown("front") && groups.front.length) {
    const extendTo = Math.max(edge, groups.front[groups.front.length - 1].x);
    layers.push({ kind: "line", class: "front", step: true, area: true, extendTo, points: groups.front });
  }
  for (const id of ["dominated", "stopped", "over", "failed", "running"]) {
    const { shape } = GROUPS.find((group) => group.id === id);
    const size = shape === "dot" ? 3 : 4;
    if (shown(id)) layers.push({ kind: "dots", class: id, shape, size, points: groups[id], pick: true });
  }
  view.overlays.forEach((other, index) => layers.push(...overlayLayers(other, index, view.cost)));
  if (shown("front")) layers.push({ kind: "dots", class: "front", points: groups.front, pick: true, first: true });
  if (shown("handmade")) layers.push({ kind: "dots", class: "handmade", shape: "diamond", size: 7, points: groups.handmade });
  layers.push(...selectionLayers(app, view));
  if (best) layers.push({ kind: "label", class: "best", x: costOf(best, view.cost), y: best.top1, text: `${percent(best.top1)} · ${costText(view.axis, costOf(best, view.cost))}` });
  if (view.budget !== null) layers.push(budgetLine(app, view));
  return layers;
}

function overlayLayers(other, index, cost) {
  const points = other.front.map((row) => ({ x: costOf(row, cost), y: row.top1, row, study: other.study }));
  const cls = `series-${index + 1}`;
  return [
    { kind: "line", class: cls, step: true, points },
    { kind: "dots", class: `${cls} small`, points, pick: true },
  ];
}

function selectionLayers(app, { study, best, cost }) {
  const layers = [];
  for (const [number, cls] of [[app.state.selected ?? best?.number, "selected"], [app.state.compared, "compared"]]) {
    const row = study.rows.get(number);
    if (row && costOf(row, cost) !== undefined) layers.push({ kind: "dots", class: cls, shape: "ring", size: 10, points: [{ x: costOf(row, cost), y: row.top1 ?? row.latest }] });
  }
  return layers;
}

function budgetLine(app, { budget, axis, main }) {
  if (!main) return { kind: "vline", class: "budget", x: budget, label: `limit ${costText(axis, budget)}` };
  const moved = app.state.budget !== null;
  return {
    kind: "vline", class: "budget", x: budget, label: `${moved ? "what if: " : "budget "}${costAmount(axis, budget)}`,
    onDrag: (value) => app.set({ budget: value, selected: null }),
    onReset: () => app.set({ budget: null }),
  };
}

// A logarithmic axis has no place for costs of 0 or less.
function isPositive({ rows, cost }) {
  return rows.every((row) => !(costOf(row, cost) <= 0));
}

function xDomain(view, layers) {
  const points = layers.flatMap((layer) => layer.points ?? []).map((point) => point.x);
  return paddedDomain([...points, view.budget, view.main ? view.study.budget : null], isPositive(view), 0.05);
}

// Above the highest point is room for the label of the best network.
function yDomain(layers) {
  const points = layers.flatMap((layer) => layer.points ?? []);
  const [low, high] = paddedDomain(points.map((point) => point.y), false);
  return [low, high + 0.06 * (high - low)];
}

function drawLegend(app, { rows, overlays }, groups) {
  const items = GROUPS.filter((group) => groups[group.id].length || group.id === "front").map((group) => {
    const on = !app.state.hidden.has(group.id);
    const count = group.id === "published" ? "" : String(groups[group.id].length);
    const toggle = () => app.toggleHidden(group.id);
    return el("button", { class: "legend-item", type: "button", "aria-pressed": String(on), onclick: toggle, "data-group": group.id },
      glyph(group), group.text, count && el("span", { class: "count" }, count));
  });
  replace(byId("front-legend"), [...items, ...overlayKeys(overlays), neverTrained(rows)]);
}

// Proposals that were replaced before they were trained: they have a count and no accuracy, so no place in the plot.
function neverTrained(rows) {
  const [over, known] = ["over", "known"].map((field) => rows.reduce((sum, row) => sum + row[field], 0));
  if (!over && !known) return null;
  const parts = [over && `${over} over the budget`, known && `${known} known already`].filter(Boolean);
  return el("span", { class: "key never" }, "never trained", el("span", { class: "count" }, parts.join(", ")));
}

function glyph({ id, shape }) {
  const paths = {
    dot: "M8 8h0", triangle: "M4 5h8l-4 7z", square: "M4.5 4.5h7v7h-7z", cross: "M4.5 4.5l7 7m0-7l-7 7",
    ring: "M4 8a4 4 0 1 0 8 0a4 4 0 1 0-8 0z", diamond: "M8 3l5 5l-5 5l-5-5z",
  };
  return svg("svg", { class: "glyph", viewBox: "0 0 16 16", "aria-hidden": "true" }, svg("path", { class: `mark ${id}`, d: paths[shape] }));
}

function tip(app, { row, published, study }) {
  if (published) {
    return [el("b", {}, published.name), el("span", {}, `${percent(published.test_top1)} test, published after full training`), el("span", {}, costText(app.study.metric("macs"), published.macs))];
  }
  const owner = study ?? app.study;
  const name = owner.facts.references[row.identity];
  return [
    el("b", {}, `Trial ${row.number}`, study ? ` of ${owner.facts.name}` : "", name ? ` · ${name}` : ""),
    el("span", {}, accuracyText(row)),
    el("span", {}, costsText(row, owner)),
    el("span", { class: "muted" }, row.identity),
  ];
}

function costsText(row, study) {
  const metrics = study.costColumns.filter(({ id }) => costOf(row, id) !== undefined);
  return metrics.map((metric) => costText(metric, costOf(row, metric.id))).join(" · ");
}

function accuracyText(row) {
  if (row.state === "complete") return `${percent(row.top1)} validation top-1`;
  if (row.state === "failed") return "failed, no accuracy";
  const where = row.epoch ? `after epoch ${row.epoch} of ${row.epochs}: ${percent(row.latest)}` : "no epoch done yet";
  return row.state === "stopped" ? `stopped early ${where}` : `in training, ${where}`;
}

function pick(app, point, shift) {
  if (point.study) app.select(point.study, point.row.number);
  else if (point.row) app.set(shift ? { compared: point.row.number } : { selected: point.row.number });
}

function keys(app, chart, event) {
  const { best } = app.view;
  const { front } = chart;
  const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
  if (step && front.length) {
    event.preventDefault();
    const now = front.findIndex((row) => row.number === (app.state.selected ?? best?.number));
    const next = front[Math.min(Math.max(now + step, 0), front.length - 1)];
    app.set(event.shiftKey ? { compared: next.number } : { selected: next.number });
  } else if (event.key === "+" || event.key === "=") zoomBy(chart, 0.7);
  else if (event.key === "-") zoomBy(chart, 1 / 0.7);
  else if (event.key === "0") resetZoom(chart);
  else if (event.key === "Escape") app.set({ selected: null, compared: null });
}
