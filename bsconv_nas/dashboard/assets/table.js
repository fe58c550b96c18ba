// All trials as a table: sorted, filtered, a page at a time.

import { byId, el, pressable, replace } from "./dom.js";
import { amount, costAmount, duration, milliseconds, percent, titled } from "./format.js";

const PAGE = 15;
const seconds = (row) => (row.completed !== null && row.started !== null ? row.completed - row.started : null);
const COLUMNS = [
  { id: "number", text: "Trial", value: (row) => row.number, cell: (row) => row.number },
  { id: "state", text: "State", value: (row) => row.state, cell: (row) => row.state, words: true },
  { id: "top1", text: "Val top-1", value: (row) => row.top1 ?? row.latest, cell: (row) => percent(row.top1 ?? row.latest) },
  { id: "objective", text: "Cost", value: (row) => row.objective, cell: (row, study) => costAmount(study.facts.objective, row.objective) },
  { id: "macs", text: "MACs", value: (row) => row.macs, cell: (row) => amount(row.macs), optional: true },
  { id: "params", text: "Params", value: (row) => row.params, cell: (row) => amount(row.params), optional: true },
  { id: "latency", text: "Latency", value: (row) => row.latency, cell: (row) => milliseconds(row.latency), optional: true },
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
  const columns = columnsOf(study, rows);
  const column = COLUMNS.find((one) => one.id === state.by);
  wanted.sort((a, b) => compare(column.value(a), column.value(b)) * (state.down ? -1 : 1) || a.number - b.number);
  const pages = Math.max(1, Math.ceil(wanted.length / PAGE));
  state.page = Math.min(state.page, pages - 1);
  const shown = wanted.slice(state.page * PAGE, (state.page + 1) * PAGE);
  const go = (change) => () => {
    Object.assign(state, change);
    draw(app, state);
  };
  const head = columns.map((one) => el("th", { class: one.words ? "" : "number", "aria-sort": one.id === state.by ? (state.down ? "descending" : "ascending") : "none" },
    el("button", { type: "button", onclick: go({ by: one.id, down: one.id === state.by ? !state.down : true, page: 0 }) }, one.id === "objective" ? titled(study.costName) : one.text)));
  const body = shown.map((row) => el("tr", {
    class: `${members.has(row) ? "member" : ""} ${row.number === app.state.selected ? "chosen" : ""}`, "data-trial": row.number,
    ...pressable((event) => app.set(event.shiftKey ? { compared: row.number } : { selected: row.number })),
  }, columns.map((one) => el("td", { class: one.words ? one.id : "number" }, cellOf(one, row, study)))));
  const focused = document.activeElement?.dataset?.trial;
  replace(byId("trials"), el("table", { class: "trials" }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, body)));
  if (focused) byId("trials").querySelector(`[data-trial="${focused}"]`)?.focus();
  replace(byId("pager"), el("span", {}, wanted.length ? `${state.page * PAGE + 1}–${state.page * PAGE + shown.length} of ${wanted.length}` : "none matches"),
    el("button", { type: "button", disabled: state.page === 0, onclick: go({ page: state.page - 1 }), "aria-label": "Earlier rows" }, "‹"),
    el("button", { type: "button", disabled: state.page >= pages - 1, onclick: go({ page: state.page + 1 }), "aria-label": "Later rows" }, "›"));
}

// The cost that the search makes low is a column once, under its own name where it has a column of its own.
function columnsOf(study, rows) {
  const again = { macs: "macs", params: "params", latency_ms: "latency" }[study.facts.objective];
  return COLUMNS.filter((one) => (one.id === "objective" ? !again : !one.optional || rows.some((row) => row[one.id] !== null)));
}

function cellOf(column, row, study) {
  return column.id === "state" ? el("span", { class: `dot-state ${row.state}` }, row.state) : String(column.cell(row, study));
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
