// What differs between two networks.

import { el } from "./dom.js";
import { amount, points } from "./format.js";

export function differences(app, one, two) {
  const ratio = (a, b) => (b ? `×${(a / b).toFixed(2)}` : "–");
  const costs = [
    ["Top-1", one.top1 !== null && two.top1 !== null ? points(one.top1 - two.top1) : "–"],
    ["MACs", `${amount(one.macs)} · ${ratio(one.macs, two.macs)}`],
    ["Parameters", `${amount(one.params)} · ${ratio(one.params, two.params)}`],
  ];
  const layers = layerDifferences(one.layers, two.layers);
  return el("section", { class: "compare" },
    el("h3", {}, `Differences to trial ${two.number}`, el("button", { type: "button", class: "quiet", onclick: () => app.set({ compared: null }) }, "Clear")),
    el("dl", { class: "facts" }, costs.map(([term, value]) => el("div", {}, el("dt", {}, term), el("dd", {}, value)))),
    layers.length
      ? el("div", { class: "scroll", tabindex: 0 }, el("table", { class: "layers" },
        el("thead", {}, el("tr", {}, ["Layer", `Trial ${one.number}`, `Trial ${two.number}`].map((text) => el("th", {}, text)))),
        el("tbody", {}, layers.map((row) => el("tr", {}, row.map((text) => el("td", {}, text)))))))
      : el("p", { class: "caption" }, "The layers are the same."));
}

function layerDifferences(one, two) {
  const [a, b] = [one, two].map((layers) => new Map(layers.map((layer) => [layer.name, text(layer)])));
  const names = [...new Set([...a.keys(), ...b.keys()])];
  return names.filter((name) => a.get(name) !== b.get(name)).map((name) => [name, a.get(name) ?? "–", b.get(name) ?? "–"]);
}

function text(layer) {
  return `${layer.type} ${layer.kernel}×${layer.kernel}${layer.stride > 1 ? `/${layer.stride}` : ""}, ${layer.shape[0]} ch${layer.shortcut !== "none" ? " +" : ""}`;
}
