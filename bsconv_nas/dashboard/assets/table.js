// All trials as a table: sorted, filtered, a page at a time.

import { byId, el, pressable, replace } from "./dom.js";
import { costAmount, duration, percent, titled } from "./format.js";

const PAGE = 15;
const seconds = (row) => (row.completed !== null && row.started !== null ? row.completed - row.started : null);
// The columns before and after those of the costs.
const FIRST = [
  { id: "number", text: "Trial", value: (row) => row.number, cell: (row) => row.number },
  { id: "state", text: "State", value: (row) => row.state, cell: (row) => row.state, words: true },
  { id: "top1", text: "Val top-1", value: (row) => row.top1 ?? row.latest, cell: (row) => percent(row.top1 ?? row.latest) },
];
const LAST = [
  { id: "seconds", text: "Time", value: seconds, cell: (row) => duration(seconds(row)) },
  { id: "avoided", text: "Replaced", value: (row) => row.over + row.known, cell: (row) => row.over + row.known || "" },
  { id: "identity", text: "Network", value: (row) => row.identity, cell: (row) => row.identity, words: true },
];

export function trialsTable(app) {
  const state = { by: "number", down: true, text: "", page: 0 };
  const input = byId("filter");
  input.oninput = () => {
    Object.assign(state, { text: input.value.trim().toLowerCase(), page: 0 });
    draw(app, state);
  };
  return () => draw(app, state);
}

function draw(app, state) {
  const { study, rows, front } = app.view;
  const members = new Set(front);
  const wanted = rows.filter((row) => matches(row, state.text, members, study.facts.references));
  const columns = [...FIRST, ...study.costColumns.map(costColumn), ...LAST];
  const column = columns.find((one) => one.id === state.by) ?? FIRST[0];
  wanted.sort((a, b) => compare(column.value(a), column.value(b)) * (state.down ? -1 : 1) || a.number - b.number);
  const pages = Math.max(1, Math.ceil(wanted.length / PAGE));
  state.page = Math.min(state.page, pages - 1);
  const shown = wanted.slice(state.page * PAGE, (state.page + 1) * PAGE);
  const go = (change) => () => {
    Object.assign(state, change);
    draw(app, state);
  };
  const head = columns.map((one) => el("th", { class: one.words ? "" : "number", "aria-sort": one.id === state.by ? (state.down ? "descending" : "ascending") : "none" },
    el("button", { type: "button", title: one.title ?? "", onclick: go({ by: one.id, down: one.id === state.by ? !state.down : true, page: 0 }) }, one.text)));
  const body = shown.map((row) => el("tr", {
    class: `${members.has(row) ? "member" : ""} ${row.number === app.state.selected ? "chosen" : ""}`, "data-trial": row.number,
    ...pressable((event) => app.set(event.shiftKey ? { compared: row.number } : { selected: row.number })),
  }, columns.map((one) => el("td", { class: one.words ? one.id : "number" }, cellOf(one, row)))));
  const focused = document.activeElement?.dataset?.trial;
  replace(byId("trials"), el("table", { class: "trials" }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, body)));
  if (focused) byId("trials").querySelector(`[data-trial="${focused}"]`)?.focus();
  replace(byId("pager"), el("span", {}, wanted.length ? `${state.page * PAGE + 1}–${state.page * PAGE + shown.length} of ${wanted.length}` : "none matches"),
    el("button", { type: "button", disabled: state.page === 0, onclick: go({ page: state.page - 1 }), "aria-label": "Earlier rows" }, "‹"),
    el("button", { type: "button", disabled: state.page >= pages - 1, onclick: go({ page: state.page + 1 }), "aria-label": "Later rows" }, "›"));
}

function costColumn(metric) {
  return { id: `cost:${metric.id}`, text: titled(metric.name), title: titled(metric.label), value: (row) => row.cost[metric.id], cell: (row) => costAmount(metric, row.cost[metric.id]) };
}

function cellOf(column, row) {
  return column.id === "state" ? el("span", { class: `dot-state ${row.state}` }, row.state) : String(column.cell(row));
}

function compare(a, b) {
  if (a === b) return 0;
  if (a === null || a === undefined) return -1;
  if (b === null || b === undefined) return 1;
  return a < b ? -1 : 1;
}

function matches(row, text, members, references) {
  if (!text) return true;
  if (text === "front") return members.has(row);
  return `${row.number} ${row.state} ${row.identity} ${references[row.identity] ?? ""} ${row.worker ?? ""}`.toLowerCase().includes(text);
}
