// What differs between two networks.

import { el } from "./dom.js";
import { costAmount, points, titled } from "./format.js";

export function differences(app, one, two) {
  const ratio = (a, b) => (b ? `×${(a / b).toFixed(2)}` : "–");
  const costs = [
    ["Top-1", one.top1 !== null && two.top1 !== null ? points(one.top1 - two.top1) : "–"],
    ...app.study.costColumns.filter(({ id }) => one.cost[id] !== undefined).map((metric) => [
      titled(metric.name), `${costAmount(metric, one.cost[metric.id])} · ${ratio(one.cost[metric.id], two.cost[metric.id])}`]),
  ];
  const isNetwork = one.layers.length > 0;
  const parts = isNetwork ? layerDifferences(one.layers, two.layers) : geneDifferences(one.genes, two.genes);
  return el("section", { class: "compare" },
    el("h3", {}, `Differences to trial ${two.number}`, el("button", { type: "button", class: "quiet", onclick: () => app.set({ compared: null }) }, "Clear")),
    el("dl", { class: "facts" }, costs.map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, value)))),
    parts.length
      ? el("div", { class: "scroll", tabindex: 0 }, el("table", { class: "layers" },
        el("thead", {}, el("tr", {}, [isNetwork ? "Layer" : "Gene", `Trial ${one.number}`, `Trial ${two.number}`].map((text) => el("th", {}, text)))),
        el("tbody", {}, parts.map((row) => el("tr", {}, row.map((text) => el("td", {}, text)))))))
      : el("p", { class: "caption" }, `The ${isNetwork ? "layers" : "genes"} are the same.`));
}

function layerDifferences(one, two) {
  const [a, b] = [one, two].map((layers) => new Map(layers.map((layer) => [layer.name, text(layer)])));
  const names = [...new Set([...a.keys(), ...b.keys()])];
  return names.filter((name) => a.get(name) !== b.get(name)).map((name) => [name, a.get(name) ?? "–", b.get(name) ?? "–"]);
}

function geneDifferences(one, two) {
  return Object.keys(one).filter((name) => one[name] !== two[name]).map((name) => [name, String(one[name]), String(two[name])]);
}

function text(layer) {
  return `${layer.type} ${layer.kernel}×${layer.kernel}${layer.stride > 1 ? `/${layer.stride}` : ""}, ${layer.shape[0]} ch${layer.shortcut !== "none" ? " +" : ""}`;
}
