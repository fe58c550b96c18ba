// The chosen network: costs, drawing, layers, learning curve, commands, and differences to a second one.

import { Chart } from "./chart.js";
import { differences } from "./compare.js";
import { byId, copyText, el, replace } from "./dom.js";
import { save } from "./download.js";
import { drawNetwork } from "./drawing.js";
import { clock, costAmount, duration, percent, titled, whole } from "./format.js";

export function detailsPanel(app) {
  const host = byId("details");
  const fetched = new Map();
  let shown = "";
  let timer = null;

  const load = async (key, row) => {
    const id = `${key}/${row.number}/${row.state}/${row.epoch}`;
    if (!fetched.has(id)) fetched.set(id, app.source.trial(key, row.number).catch((error) => ({ error: error.message })));
    return fetched.get(id);
  };

  const show = async (study, row, other, id) => {
    const [one, two] = await Promise.all([load(study.key, row), other ? load(study.key, other) : null]);
    if (id !== shown) return; // something else was chosen meanwhile
    const open = new Set([...host.querySelectorAll("details[open]")].map((node) => node.dataset.part));
    replace(host, content(app, study, row, one));
    for (const node of host.querySelectorAll("details")) if (open.has(node.dataset.part)) node.open = true;
    curveChart(app, one);
    if (two && !two.error && !one.error) host.append(differences(app, one, two));
  };

  return (view) => {
    const number = app.state.selected ?? view.best?.number;
    const row = view.study.rows.get(number);
    const other = app.state.compared !== number ? view.study.rows.get(app.state.compared) : undefined;
    const id = row ? `${view.study.key}/${number}/${row.state}/${row.epoch}/${other?.number}/${view.front.includes(row)}` : "none";
    if (id === shown) return;
    shown = id;
    clearTimeout(timer);
    if (!row) replace(host, el("p", { class: "empty" }, "The best network appears here when the first trial is done."));
    else timer = setTimeout(() => show(view.study, row, other, id), 60); // not for each pixel of a dragged budget
  };
}

function content(app, study, row, trial) {
  const name = study.facts.references[row.identity];
  const head = el("header", { class: "details-head" },
    el("div", {}, el("p", { class: "eyebrow" }, app.state.selected === null ? "Best within the budget" : "Selected network"),
      el("h2", {}, `Trial ${row.number}`), el("code", { class: "identity" }, row.identity)),
    el("div", { class: "big" }, percent(row.top1 ?? row.latest), el("small", {}, row.state === "complete" ? "validation top-1" : `${row.state}, epoch ${row.epoch} of ${row.epochs}`)));
  const tags = el("p", { class: "tags" },
    app.view.front.includes(row) && el("span", { class: "tag front" }, "on the front"),
    name && el("span", { class: "tag handmade" }, `hand-made: ${name}`),
    !row.allowed && el("span", { class: "tag warm" }, "over a limit"));
  if (trial.error) return [head, tags, costs(study, row, {}), el("p", { class: "empty" }, trial.error)];
  return [head, tags, costs(study, row, trial),
    trial.reason && el("p", { class: "reason" }, trial.reason),
    trial.layers.length ? el("div", { class: "scroll drawing", tabindex: 0 }, drawNetwork(trial.layers)) : null,
    trial.layers.length ? el("p", { class: "caption" }, "Height: channels. Below: kernel size, channels, share of MACs. ▾ stride 2, ⌒ shortcut. U: BSConv-U; S-1/4: BSConv-S with p = 1/4.") : null,
    trial.curve.length > 1 ? el("div", { id: "curve-chart" }) : null,
    buttons(study, trial),
    trial.layers.length ? layerTable(study, trial) : geneTable(trial)];
}

function costs(study, row, trial) {
  const known = study.metrics.filter(({ id }) => row.cost[id] !== undefined);
  const seconds = (trial.curve ?? []).reduce((sum, epoch) => sum + (epoch.seconds ?? 0), 0);
  const items = [
    ...known.map((metric) => [titled(metric.name), costAmount(metric, row.cost[metric.id]), titled(metric.label)]),
    ["Training", seconds ? duration(seconds) : "–"], ["Seed", trial.seed ?? "–"], ["Ended", clock(row.completed)],
    row.worker && ["Worker", row.worker],
  ].filter(Boolean);
  return el("dl", { class: "facts" }, items.map(([term, value, title = ""]) => el("div", { class: term === "Worker" ? "wide" : "", title }, el("dt", {}, term), el("dd", {}, String(value)))));
}

function buttons(study, trial) {
  const copy = (text, label) => text && el("button", { type: "button", title: text, onclick: (event) => copyText(text, event.currentTarget) }, label);
  return el("div", { class: "actions" },
    copy(trial.commands.export, "Copy export command"), copy(trial.commands.train, "Copy train command"),
    trial.arch && el("button", { type: "button", onclick: () => save(`arch-${trial.number}.json`, "application/json", `${JSON.stringify(trial.arch, null, 1)}\n`) }, "Download arch.json"),
    copy(shareLink(study, trial), "Copy link"));
}

function shareLink(study, trial) {
  return `${location.origin === "null" ? "" : location.origin}${location.pathname}#study=${encodeURIComponent(study.key)}&trial=${trial.number}`;
}

// Amounts of a layer or of the network in a table: whole numbers in full.
function inFull(metric, value) {
  return metric.unit === "amount" ? whole(value) : costAmount(metric, value);
}

function layerTable(study, { layers, cost }) {
  const metrics = study.costColumns.filter(({ id }) => layers[0].cost[id] !== undefined);
  const most = Math.max(...layers.map((layer) => layer.cost.macs));
  const row = (layer) => el("tr", {}, el("td", {}, layer.name.replace("blocks.", "").replace(".layers.", " · ")), el("td", {}, layer.type),
    el("td", {}, layer.type === "Linear" ? "" : `${layer.kernel}×${layer.kernel}${layer.stride > 1 ? ` /${layer.stride}` : ""}${layer.se ? " SE" : ""}`),
    el("td", { class: "number" }, layer.shape.join("×")), 
    metrics.map((metric) => el("td", { class: "number" }, metric.id === "macs" ? bar(layer.cost.macs / most) : null, inFull(metric, layer.cost[metric.id]))));
  const head = ["Layer", "Type", "Kernel", "Output", ...metrics.map((metric) => titled(metric.name))].map((text, i) => el("th", { class: i > 2 ? "number" : "" }, text));
  return el("details", { "data-part": "layers" }, el("summary", {}, `${layers.length} layers`),
    el("div", { class: "scroll", tabindex: 0 }, el("table", { class: "layers" }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, layers.map(row)),
      el("tfoot", {}, el("tr", {}, el("td", { colspan: 4 }, "Total"), metrics.map((metric) => el("td", { class: "number" }, inFull(metric, cost[metric.id]))))))));
}

export function bar(share) {
  const fill = el("span", { class: "fill" });
  fill.style.width = `${Math.round(100 * Math.max(0, Math.min(1, share)))}%`;
  return el("span", { class: "bar", "aria-hidden": "true" }, fill);
}

function geneTable({ genes }) {
  const rows = Object.entries(genes).map(([name, value]) => el("tr", {}, el("td", {}, name), el("td", { class: "number" }, String(value))));
  return el("table", { class: "layers" }, el("tbody", {}, rows));
}

function curveChart(app, trial) {
  const host = byId("curve-chart");
  if (!host) return;
  const chart = new Chart(host, {
    label: "Learning curve", xLabel: "Epoch", yLabel: "Top-1", height: () => 170, xFormat: (v) => (Number.isInteger(v) ? String(v) : ""),
    yFormat: (value) => `${+(100 * value).toFixed(1)} %`,
    tip: ({ epoch }) => [el("b", {}, percent(epoch.top1)), el("span", {}, `epoch ${epoch.epoch} of ${epoch.epochs}`),
      epoch.train_loss !== undefined && el("span", {}, `training loss ${epoch.train_loss.toFixed(3)}`)].filter(Boolean),
  });
  const points = trial.curve.map((epoch) => ({ x: epoch.epoch, y: epoch.top1, epoch }));
  chart.draw([{ kind: "line", class: "front", points }, { kind: "dots", class: "front small", points, pick: true }]);
}
