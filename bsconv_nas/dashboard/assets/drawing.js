// A network as a drawing: a column per layer, its height the width in channels, its colour the kind of convolution.

import { svg } from "./dom.js";
import { amount } from "./format.js";

const STEP = 30;
const TALL = 88;

export function kindClass(type) {
  if (type === "U") return "kind-u";
  const ratio = { "S-1": 1, "S-1/2": 2, "S-1/4": 4, "S-1/6": 6, "S-1/8": 8 }[type];
  return type.startsWith("S") ? `kind-s${ratio ?? ""}` : "kind-conv";
}

export function drawNetwork(layers) {
  const width = layers.length * STEP + 20;
  const widest = Math.max(...layers.map((layer) => layer.shape[0]), 1);
  const most = Math.max(...layers.map((layer) => layer.cost.macs), 1);
  const picture = svg("svg", { class: "network", viewBox: `0 0 ${width} 176`, width, height: 176, role: "img", "aria-label": describe(layers) });
  let side = null;
  layers.forEach((layer, index) => {
    const x = 10 + index * STEP;
    if (layer.shape[1] !== side) {
      side = layer.shape[1];
      picture.append(svg("line", { class: "stage", x1: x - 3, x2: x - 3, y1: 4, y2: 170 }));
      picture.append(svg("text", { class: "stage-text", x: x + 1, y: 13 }, `${layer.shape[1]}²`));
    }
    picture.append(column(layer, x, widest, most));
  });
  return picture;
}

function column(layer, x, widest, most) {
  const height = Math.max(14, TALL * Math.sqrt(layer.shape[0] / widest));
  const bottom = 118;
  const group = svg("g", { class: kindClass(layer.type) });
  group.append(svg("title", {}, `${layer.name}: ${layer.type} ${layer.kernel}x${layer.kernel}, ${layer.shape[0]} channels, ${amount(layer.cost.macs)} MACs`));
  group.append(svg("rect", { class: "body", x, y: bottom - height, width: STEP - 8, height, rx: 3 }));
  if (layer.stride > 1) group.append(svg("path", { class: "stride", d: `M${x + 6} ${bottom - height + 4}h10l-5 6z` }));
  if (layer.shortcut !== "none") group.append(svg("path", { class: "shortcut", d: `M${x + 2} ${bottom - height - 3}q9 -8 18 0` }));
  group.append(svg("text", { x: x + 11, y: bottom + 13, class: "kernel" }, layer.type.startsWith("Lin") ? "fc" : `${layer.kernel}`));
  group.append(svg("text", { x: x + 11, y: bottom + 25, class: "channels" }, layer.shape[0]));
  const share = Math.max(1, 22 * (layer.cost.macs / most));
  group.append(svg("rect", { class: "share", x, y: bottom + 32, width: STEP - 8, height: share, rx: 1.5 }));
  return group;
}

function describe(layers) {
  return `${layers.length} layers: ${layers.map((layer) => `${layer.type} ${layer.shape[0]}`).join(", ")}`;
}
