// How the search came along: hypervolume, and the best network within the budget.

import { Chart } from "./chart.js";
import { byId, el, overlayKeys, replace } from "./dom.js";
import { duration, percent } from "./format.js";
import { progress } from "./pareto.js";

export function progressPlots(app) {
  const volume = chartOf(app, "volume-chart", "Hypervolume over the search", "Hypervolume", (v) => +v.toPrecision(3), (p) => p.volume.toFixed(4));
  const best = chartOf(app, "best-chart", "Best accuracy within the budget over the search", "Best top-1 within budget",
    (v) => `${+(100 * v).toFixed(2)} %`, (p) => percent(p.best));
  app.charts.volume = volume;
  app.charts.best = best;
  for (const button of document.querySelectorAll("[data-axis]")) {
    button.onclick = () => app.set({ axis: button.dataset.axis });
  }
  return (view) => {
    for (const button of document.querySelectorAll("[data-axis]")) {
      button.setAttribute("aria-pressed", String(button.dataset.axis === app.state.axis));
    }
    const all = [{ ...view, cls: "front" }, ...view.overlays.map((other, index) => ({ ...other, cls: `series-${index + 1}` }))];
    byId("progress-legend").hidden = !view.overlays.length;
    replace(byId("progress-legend"), [el("span", { class: "key front" }, view.study.facts.name), ...overlayKeys(view.overlays)]);
    const others = all.flatMap((one) => one.rows);
    const series = all.map((one) => ({ cls: one.cls, study: one.study, steps: progress(one.rows, { budget: view.budget, floor: view.study.floor, others }) }));
    draw(app, volume, series, "volume");
    draw(app, best, series, "best");
  };
}

function chartOf(app, id, label, yLabel, yFormat, valueText) {
  const chart = new Chart(byId(id), {
    label, yLabel, yFormat, height: () => 230,
    tip: (point) => [el("b", {}, valueText(point.step)), el("span", {}, `after ${point.step.count} trials, ${duration(point.step.time)}`),
      el("span", { class: "muted" }, `by trial ${point.step.row.number}${point.study === app.study ? "" : ` of ${point.study.facts.name}`}`)],
    onPick: ({ step, study }) => app.select(study, step.row.number),
  });
  return chart;
}

function draw(app, chart, series, field) {
  const byTime = app.state.axis === "time";
  chart.options.xLabel = byTime ? "Time since the first trial" : "Finished trials";
  chart.options.xFormat = byTime ? duration : String;
  const layers = series.flatMap(({ cls, study, steps }) => {
    const points = steps.map((step) => ({ x: byTime ? step.time : step.count, y: step[field], step, study }));
    return [
      { kind: "line", class: cls, step: true, points, area: cls === "front" },
      { kind: "dots", class: `${cls} small`, points, pick: true },
    ];
  });
  const far = Math.max(1, ...series.flatMap(({ steps }) => steps.slice(-1).map((step) => (byTime ? step.time : step.count))));
  chart.draw(layers, { x: [0, far * 1.02] });
}
