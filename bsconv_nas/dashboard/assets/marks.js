// What a chart draws: each kind of mark turns data and scales into SVG. Thousands of dots are one path, so they are
// drawn and redrawn in milliseconds.

import { svg } from "./dom.js";

const SHAPES = {
  dot: (x, y) => `M${x} ${y}h0`, // round line caps make it a disc of the stroke's width
  cross: (x, y, r) => `M${x - r} ${y - r}l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}`,
  square: (x, y, r) => `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}z`,
  diamond: (x, y, r) => `M${x} ${y - r}l${r} ${r}l${-r} ${r}l${-r} ${-r}z`,
  triangle: (x, y, r) => `M${x - r} ${y - 0.7 * r}h${2 * r}l${-r} ${1.7 * r}z`,
  ring: (x, y, r) => `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
};

export const MARKS = { dots: drawDots, line: drawLine, vline: drawVline, bars: drawBars, label: drawLabel };

function drawDots(layer, frame) {
  const shape = SHAPES[layer.shape ?? "dot"];
  const path = layer.points.filter((point) => inside(point, frame)).map((point) => {
    const [x, y] = position(point, frame);
    return shape(round(x), round(y), layer.size ?? 4);
  });
  return path.length ? [svg("path", { class: `mark ${layer.class}`, d: path.join("") })] : [];
}

function drawLine(layer, frame) {
  if (!layer.points.length) return [];
  const places = layer.points.map((point) => position(point, frame).map(round));
  let path = `M${places[0]}`;
  for (const [x, y] of places.slice(1)) path += layer.step ? `H${x}V${y}` : `L${x} ${y}`;
  if (layer.extendTo !== undefined) path += `H${round(frame.x(layer.extendTo))}`;
  const nodes = [];
  if (layer.area) {
    const end = layer.extendTo !== undefined ? round(frame.x(layer.extendTo)) : places[places.length - 1][0];
    const area = `${path}H${end}V${frame.height}H${places[0][0]}Z`;
    nodes.push(svg("path", { class: `area ${layer.class}`, d: area }));
  }
  nodes.push(svg("path", { class: `line ${layer.class}`, d: path }));
  return nodes;
}

function drawVline(layer, frame) {
  const x = round(frame.x(layer.x));
  if (x < -1 || x > frame.width + 1) return [];
  const group = svg("g", { class: `vline ${layer.class ?? ""}`, transform: `translate(${x} 0)` });
  group.append(svg("line", { y1: 0, y2: frame.height }));
  // Above the plot, where no point or tick is.
  const anchor = x > frame.width - 50 ? "end" : x < 50 ? "start" : "middle";
  group.append(svg("text", { x: anchor === "end" ? 16 : anchor === "start" ? -16 : 0, y: -6, "text-anchor": anchor }, layer.label));
  if (layer.onDrag) {
    group.append(svg("rect", { class: "grip", x: -5, y: frame.height / 2 - 16, width: 10, height: 32, rx: 5 }));
    group.append(svg("path", { class: "grip-lines", d: `M-1.5 ${frame.height / 2 - 6}v12m3 0v-12` }));
    const handle = svg("rect", {
      class: "drag", x: -9, y: 0, width: 18, height: frame.height, tabindex: 0, role: "slider",
      "aria-label": layer.label, "aria-valuenow": Math.round(layer.x), "aria-valuetext": layer.label,
    });
    frame.makeDraggable(handle, layer);
    group.append(handle);
  }
  return [group];
}

function drawBars(layer, frame) {
  const path = layer.points.filter((point) => inside(point, frame)).map((point) => {
    const [x, low, high] = [frame.x(point.x), frame.y(point.low), frame.y(point.high)].map(round);
    return `M${x} ${low}V${high}M${x - 4} ${low}h8M${x - 4} ${high}h8`;
  });
  return [svg("path", { class: `bars ${layer.class}`, d: path.join("") })];
}

function drawLabel(layer, frame) {
  const [x, y] = position(layer, frame).map(round);
  if (x < 0 || x > frame.width) return [];
  const left = x > frame.width - 150;
  const below = y < 20; // zoomed in, where a line's label stands above the plot
  const attributes = { class: `label ${layer.class}`, x: left ? x - 11 : x + 11, y: below ? y + 20 : y - 9, "text-anchor": left ? "end" : "start" };
  return [svg("text", attributes, layer.text)];
}

// Pixels of a point; one without a y value lies on the rug at the bottom.
export function position(point, frame) {
  return [frame.x(point.x), point.y === null ? frame.height - 9 : frame.y(point.y)];
}

export function inside(point, frame) {
  const [x, y] = position(point, frame);
  return x >= -1 && x <= frame.width + 1 && y >= -1 && y <= frame.height + 1;
}

function round(value) {
  return Math.round(value * 10) / 10;
}
