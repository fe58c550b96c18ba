// Zoom of a chart: drag a box, Ctrl and the wheel, + and - and 0, double click to see all.

import { svg } from "./dom.js";
import { makeScale } from "./scale.js";

const LEAST = 6; // pixels below which a drag is a click

export function attachZoom(chart) {
  let start = null;
  let box = null;
  chart.svg.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.pointerType === "touch" || !chart.frame) return;
    start = chart.pointer(event);
    chart.moved = false;
  });
  window.addEventListener("pointermove", (event) => {
    if (!start || chart.dragging) return;
    const now = chart.pointer(event);
    if (Math.max(Math.abs(now[0] - start[0]), Math.abs(now[1] - start[1])) < LEAST && !chart.selecting) return;
    chart.selecting = chart.moved = true;
    chart.showTip(null);
    box?.remove();
    const [x, y] = [Math.min(start[0], now[0]), Math.min(start[1], now[1])];
    box = svg("rect", { class: "zoom-box", x, y, width: Math.abs(now[0] - start[0]), height: Math.abs(now[1] - start[1]) });
    chart.overlay.append(box);
  });
  window.addEventListener("pointerup", (event) => {
    if (chart.selecting && start) zoomTo(chart, start, chart.pointer(event));
    start = null;
    box?.remove();
    chart.selecting = false;
  });
  chart.svg.addEventListener("dblclick", () => resetZoom(chart));
  chart.svg.addEventListener("wheel", (event) => {
    if (!event.ctrlKey || !chart.frame) return; // a plain wheel scrolls the page
    event.preventDefault();
    zoomBy(chart, event.deltaY < 0 ? 0.8 : 1.25, chart.pointer(event));
  }, { passive: false });
}

export function zoomBy(chart, factor, [px, py] = [chart.frame.width / 2, chart.frame.height / 2]) {
  const { width, height } = chart.frame;
  zoomTo(chart, [px - px * factor, py - py * factor], [px + (width - px) * factor, py + (height - py) * factor]);
}

export function resetZoom(chart) {
  chart.view = null;
  chart.render();
}

function zoomTo(chart, [x1, y1], [x2, y2]) {
  if (Math.abs(x2 - x1) < LEAST || Math.abs(y2 - y1) < LEAST) return;
  const { x, y } = chart.frame;
  const view = {
    x: [Math.min(x1, x2), Math.max(x1, x2)].map((pixel) => x.invert(pixel)),
    y: [Math.max(y1, y2), Math.min(y1, y2)].map((pixel) => y.invert(pixel)),
  };
  if (!makeScale(view.y, [0, 1], false).ticks(3).length || (chart.options.xLog && view.x[1] / view.x[0] < 1.0001)) return;
  chart.view = view;
  chart.render();
}
