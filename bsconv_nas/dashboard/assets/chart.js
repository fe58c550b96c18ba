// A chart in SVG: axes, marks, hover, click, zoom. It keeps its zoom while data changes.

import { el, svg } from "./dom.js";
import { MARKS, inside, position } from "./marks.js";
import { makeScale, paddedDomain } from "./scale.js";
import { attachZoom } from "./zoom.js";

const REACH = 18; // pixels within which the pointer finds a point
let clips = 0;

export class Chart {
  // options: label, xLabel, yLabel, xLog, xFormat, yFormat, height(width), onPick(point), tip(point) -> nodes
  constructor(host, options) {
    this.host = host;
    this.options = { yFormat: String, xFormat: String, height: () => 260, ...options };
    this.view = null;
    this.layers = [];
    this.clip = `clip-${(clips += 1)}`;
    this.svg = svg("svg", { class: "chart", role: "img", "aria-label": options.label });
    this.tip = el("div", { class: "tip", hidden: true, role: "status" });
    host.classList.add("chart-host");
    host.append(this.svg, this.tip);
    attachZoom(this);
    this.svg.addEventListener("pointermove", (event) => this.hover(event));
    this.svg.addEventListener("pointerleave", () => this.showTip(null));
    this.svg.addEventListener("click", (event) => this.click(event));
    new ResizeObserver(() => this.render()).observe(host);
  }

  draw(layers, { x, y } = {}) {
    this.layers = layers;
    this.wanted = { x, y };
    this.render();
  }

  render() {
    const width = this.host.clientWidth;
    if (width < 120 || !this.wanted) return; // hidden, or not laid out yet
    const height = this.options.height(width);
    const margin = { top: 36, right: 18, bottom: 46, left: width < 480 ? 44 : 56 };
    const inner = { width: width - margin.left - margin.right, height: height - margin.top - margin.bottom };
    this.margin = margin;
    this.frame = { ...inner, ...this.scales(inner), makeDraggable: (node, layer) => this.makeDraggable(node, layer) };
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("height", height);
    const clip = svg("clipPath", { id: this.clip }, svg("rect", { x: -2, y: -8, width: inner.width + 4, height: inner.height + 9 }));
    const marks = svg("g", { class: "marks", "clip-path": `url(#${this.clip})` });
    const lines = svg("g"); // with their labels, above the plot
    for (const layer of this.layers) (layer.kind === "vline" ? lines : marks).append(...MARKS[layer.kind](layer, this.frame));
    const plane = svg("rect", { class: "plane", width: inner.width, height: inner.height });
    this.overlay = svg("g", { class: "overlay" });
    const group = svg("g", { transform: `translate(${margin.left} ${margin.top})` }, this.axes(), plane, marks, lines, this.overlay);
    if (this.dragging) return; // a handle that is held must stay in the page
    const focused = document.activeElement?.classList.contains("drag") && this.svg.contains(document.activeElement);
    this.svg.replaceChildren(clip, group);
    if (focused) this.svg.querySelector(".drag")?.focus();
  }

  domains() {
    const points = this.layers.filter((layer) => layer.fit !== false).flatMap((layer) => layer.points ?? []);
    const x = this.wanted.x ?? paddedDomain(points.map((point) => point.x), this.options.xLog);
    const y = this.wanted.y ?? paddedDomain(points.flatMap((point) => [point.y, point.low ?? null, point.high ?? null]), false);
    return { x, y };
  }

  scales({ width, height }) {
    const { x, y } = this.view ?? this.domains();
    return { x: makeScale(x, [0, width], this.options.xLog), y: makeScale(y, [height, 0], false) };
  }

  axes() {
    const { x, y, width, height } = this.frame;
    const group = svg("g", { class: "axes" });
    for (const value of y.ticks(Math.max(3, Math.round(height / 46)))) {
      const at = y(value);
      if (at < -0.5 || at > height + 0.5) continue;
      group.append(svg("line", { class: "grid", x2: width, y1: at, y2: at }));
      group.append(svg("text", { class: "tick", x: -9, y: at + 4, "text-anchor": "end" }, this.options.yFormat(value)));
    }
    for (const value of x.ticks(Math.max(3, Math.round(width / 75)))) {
      const at = x(value);
      if (at < -0.5 || at > width + 0.5) continue;
      group.append(svg("line", { class: "grid faint", x1: at, x2: at, y2: height }));
      group.append(svg("text", { class: "tick", x: at, y: height + 18, "text-anchor": "middle" }, this.options.xFormat(value)));
    }
    group.append(svg("line", { class: "axis", x2: width, y1: height, y2: height }));
    group.append(svg("text", { class: "axis-label", x: width, y: height + 38, "text-anchor": "end" }, this.options.xLabel));
    group.append(svg("text", { class: "axis-label", x: -this.margin.left + 4, y: -22 }, this.options.yLabel));
    return group;
  }

  pointer(event) {
    const box = this.svg.getBoundingClientRect();
    return [event.clientX - box.left - this.margin.left, event.clientY - box.top - this.margin.top];
  }

  nearest(event) {
    if (!this.frame) return null;
    const [px, py] = this.pointer(event);
    let found = null;
    let least = REACH ** 2;
    for (const layer of this.layers) {
      if (!layer.pick) continue;
      for (const point of layer.points) {
        if (!inside(point, this.frame)) continue;
        const [x, y] = position(point, this.frame);
        const distance = (x - px) ** 2 + (y - py) ** 2;
        if (distance < least * (layer.first ? 1.6 : 1)) [found, least] = [point, distance];
      }
    }
    return found;
  }

  hover(event) {
    if (!this.dragging && !this.selecting) this.showTip(this.nearest(event));
  }

  click(event) {
    const point = this.moved ? null : this.nearest(event);
    if (point && this.options.onPick) this.options.onPick(point, event.shiftKey);
  }

  showTip(point) {
    this.tip.hidden = !point || !this.options.tip;
    this.svg.classList.toggle("pointing", Boolean(point && this.options.onPick));
    this.overlay?.replaceChildren();
    if (this.tip.hidden) return;
    const [x, y] = position(point, this.frame);
    this.overlay.append(svg("circle", { class: "halo", cx: x, cy: y, r: 9 }));
    this.tip.replaceChildren(...this.options.tip(point));
    const left = x + this.margin.left;
    const flip = left > this.host.clientWidth - this.tip.offsetWidth - 24;
    this.tip.style.left = `${Math.max(4, flip ? left - this.tip.offsetWidth - 14 : left + 14)}px`;
    this.tip.style.top = `${Math.max(0, y + this.margin.top - this.tip.offsetHeight / 2)}px`;
  }

  makeDraggable(node, layer) {
    const move = (event) => layer.onDrag(this.frame.x.invert(Math.min(Math.max(this.pointer(event)[0], 0), this.frame.width)));
    node.addEventListener("pointerdown", (event) => {
      event.stopPropagation();
      event.preventDefault();
      node.setPointerCapture(event.pointerId);
      this.dragging = node.parentNode;
      this.dragged = false;
      this.showTip(null);
    });
    node.addEventListener("pointermove", (event) => {
      if (!this.dragging) return;
      const x = Math.min(Math.max(this.pointer(event)[0], 0), this.frame.width);
      this.dragged = true;
      node.parentNode.setAttribute("transform", `translate(${x} 0)`);
      move(event);
      const text = node.parentNode.querySelector("text");
      const current = this.layers.find((other) => other.kind === "vline" && other.onDrag);
      if (text && current) text.textContent = current.label;
    });
    const end = () => {
      this.dragging = null;
      if (this.dragged) this.render(); // without a move, the node must stay: a second click makes a double click
    };
    node.addEventListener("pointerup", end);
    node.addEventListener("pointercancel", end);
    node.addEventListener("click", (event) => event.stopPropagation());
    node.addEventListener("dblclick", (event) => {
      event.stopPropagation();
      layer.onReset?.();
    });
    node.addEventListener("keydown", (event) => {
      const factor = { ArrowLeft: 1 / 1.05, ArrowRight: 1.05, Home: 0 }[event.key];
      if (factor === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      if (factor === 0) layer.onReset?.();
      else layer.onDrag(layer.x * factor);
    });
  }
}
