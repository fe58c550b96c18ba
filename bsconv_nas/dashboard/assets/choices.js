// What the networks of the front have in common: kind, kernel or width of each layer, by depth.

import { byId, el, pressable, replace } from "./dom.js";
import { kindClass } from "./drawing.js";
import { amount, percent } from "./format.js";

const MOST = 40;
const LABELS = { "S-1": "1", "S-1/2": "½", "S-1/4": "¼", "S-1/6": "⅙", "S-1/8": "⅛" };

export function choicesPanel(app) {
  const host = byId("choices");
  let asked = "";
  let found = {};
  let by = "type";
  for (const button of document.querySelectorAll("[data-choice]")) {
    button.onclick = () => {
      by = button.dataset.choice;
      draw(app, host, members(app.view.front), found, by);
    };
  }
  return async (view) => {
    const front = members(view.front);
    const id = `${view.study.key}:${front.map((row) => row.number)}`;
    if (id === asked) return;
    asked = id;
    if (!front.length) {
      replace(host, el("p", { class: "empty" }, "Nothing on the front yet."));
      return;
    }
    try {
      found = await app.source.choices(view.study.key, front.map((row) => row.number));
    } catch (error) {
      replace(host, el("p", { class: "empty" }, error.message));
      return;
    }
    if (id === asked) draw(app, host, front, found, by);
  };
}

function members(front) {
  if (front.length <= MOST) return front;
  const step = (front.length - 1) / (MOST - 1);
  return Array.from({ length: MOST }, (_, index) => front[Math.round(index * step)]);
}

function draw(app, host, front, found, by) {
  for (const button of document.querySelectorAll("[data-choice]")) button.setAttribute("aria-pressed", String(button.dataset.choice === by));
  const depth = Math.max(0, ...front.map((row) => (found[row.number] ?? []).length));
  if (!depth) {
    replace(host, el("p", { class: "empty" }, "This study searches a space of its own: its networks have no layers to show."));
    return;
  }
  const widest = Math.max(...front.flatMap((row) => found[row.number].map((layer) => layer.width)));
  const columns = Array.from({ length: depth }, (_, index) => el("th", {}, index + 1));
  const rows = [...front].reverse().map((row) => el("tr", pressable(() => app.set({ selected: row.number })),
    el("th", { scope: "row" }, `${percent(row.top1, 1)}`, el("small", {}, app.study.costText(row.objective))),
    found[row.number].map((layer) => cell(layer, by, widest))));
  replace(host, el("table", { class: "heat" }, el("thead", {}, el("tr", {}, el("th", {}, "layer"), columns)), el("tbody", {}, rows)), key(by));
}

function cell(layer, by, widest) {
  const title = `${layer.type} ${layer.kernel}×${layer.kernel}, ${layer.width} channels${layer.stride > 1 ? ", stride 2" : ""}`;
  const stride = layer.stride > 1 ? " strided" : "";
  if (by === "type") return el("td", { class: kindClass(layer.type) + stride, title }, layer.type === "U" ? "U" : (LABELS[layer.type] ?? layer.type));
  if (by === "kernel") return el("td", { class: `level-${Math.min(4, (layer.kernel - 1) / 2)}${stride}`, title }, layer.kernel);
  return el("td", { class: `level-${Math.max(0, Math.min(4, Math.round(4 + Math.log2(layer.width / widest))))}${stride}`, title }, layer.width);
}

function key(by) {
  const texts = {
    type: "U: BSConv-U; ½ to ⅛: BSConv-S with that p.",
    kernel: "Side of the depthwise kernel.",
    width: "Output channels.",
  };
  return el("p", { class: "caption" }, `${texts[by]} A line on the left marks stride 2. The most accurate network is on top.`);
}
