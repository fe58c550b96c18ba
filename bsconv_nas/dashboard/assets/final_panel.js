// The full trainings after a search: test accuracies over several seeds. Never mixed with the brief trainings.

import { Chart } from "./chart.js";
import { byId, el, pressable, replace } from "./dom.js";
import { amount, costAmount, costText, percent, shortAmount, titled } from "./format.js";

const KINDS = { searched: ["searched", "dot"], reference: ["hand-made", "diamond"], random: ["random", "square"] };

// The costs that are known of a network; results of earlier versions have just these two.
const costsOf = (row) => ({ macs: row.macs, params: row.params, ...row.costs });

export function finalPanel(app) {
  const chart = new Chart(byId("final-chart"), {
    label: "Test accuracy after full training versus MACs", xLabel: "", yLabel: "Top-1 on the test set", xLog: true,
    xFormat: shortAmount, yFormat: (value) => `${+(100 * value).toFixed(2)} %`, height: () => 300,
    tip: ({ row }) => [el("b", {}, row.name), el("span", {}, `${percent(row.mean)} test top-1, mean of ${row.test_top1.length}`),
      el("span", {}, `95 % interval ${interval(row)}`), el("span", {}, costsText(app.study, row))],
    onPick: ({ row }) => row.trial !== null && app.set({ selected: row.trial }),
  });
  app.charts.final = chart;
  return ({ study }) => {
    const results = study.final;
    byId("final-card").hidden = !results?.rows.length;
    if (byId("final-card").hidden) return;
    byId("final-text").textContent = text(results);
    chart.options.xLabel = titled(study.metric("macs").label);
    const layers = Object.entries(KINDS).flatMap(([kind, [, shape]]) => {
      const points = results.rows.filter((row) => row.kind === kind).map((row) => ({ x: row.macs, y: row.mean, low: row.interval[0], high: row.interval[1], row }));
      return [{ kind: "bars", class: `final-${kind}`, points }, { kind: "dots", class: `final-${kind}`, shape, size: 5, points, pick: true }];
    });
    chart.draw(layers);
    const kinds = Object.entries(KINDS).filter(([kind]) => results.rows.some((row) => row.kind === kind));
    replace(byId("final-legend"), kinds.map(([kind, [label]]) => el("span", { class: `key final-${kind}` }, label)));
    replace(byId("final-table"), table(app, study, results));
  };
}

function text({ epochs, seeds, data, rank_correlation: rank, reference_share: share }) {
  const agree = rank === null || rank === undefined ? "" : ` Rank correlation with the brief validation: ${rank.toFixed(2)}.`;
  const alone = share === null || share === undefined ? "" : ` The front of the hand-made networks alone has ${Math.round(100 * share)} % of the hypervolume of the front of all networks here.`;
  return `${data}: ${epochs} epoch${epochs > 1 ? "s" : ""}, ${seeds.length} seed${seeds.length > 1 ? "s" : ""}; the test set was read once, after training. Bars: 95 % intervals.${agree}${alone}`;
}

function costsText(study, row) {
  const known = costsOf(row);
  return study.costColumns.filter(({ id }) => known[id] !== undefined).map((metric) => costText(metric, known[metric.id])).join(" · ");
}

function interval({ interval: [low, high] }) {
  return `${(100 * low).toFixed(2)} to ${percent(high)}`;
}

function table(app, study, { rows }) {
  const metrics = study.costColumns.filter(({ id }) => rows.some((row) => costsOf(row)[id] !== undefined));
  const head = ["Network", "Budget", ...metrics.map(({ name }) => titled(name)), "Brief val", "Final test", "95 % interval"].map((word, i) => el("th", { class: i ? "number" : "" }, word));
  const body = rows.map((row) => el("tr", row.trial === null ? { class: "still" } : pressable(() => app.set({ selected: row.trial })),
    el("td", {}, el("span", { class: `key final-${row.kind}`, title: KINDS[row.kind]?.[0] ?? row.kind }, row.name)),
    [row.budget === null ? "–" : amount(row.budget), ...metrics.map((metric) => costAmount(metric, costsOf(row)[metric.id])), percent(row.brief_val_top1), tested(row), interval(row)]
      .map((value, i) => el("td", { class: i === metrics.length + 2 ? "number strong" : "number" }, value))));
  return el("table", { class: "trials" }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, body));
}

function tested({ mean, std, test_top1: tests }) {
  return tests.length > 1 ? `${(100 * mean).toFixed(2)} ± ${(100 * std).toFixed(2)} %` : percent(mean);
}
