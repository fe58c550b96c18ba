// What runs now, and which workers were heard of: since when, and whether one is silent for too long.

import { byId, el, replace } from "./dom.js";
import { amount, duration, percent } from "./format.js";

const LEAST_SILENCE = 120; // seconds without a result before a worker may be called stale
const EPOCHS = 6; // or so many usual epochs of a network of that size

export function workersPanel(app) {
  return ({ study }) => {
    const running = study.all().filter((row) => row.state === "running");
    const workers = study.standing.state === "running" ? workersOf(study) : [];
    byId("running-card").hidden = !app.source.live || !(running.length || workers.length);
    if (byId("running-card").hidden) return;
    const pace = paceOf(study);
    replace(byId("running"), running.map((row) => trial(app, study, row, pace)));
    replace(byId("workers"), workers.length ? table(app, study, workers, pace) : []);
  };
}

// Workers of this run of the search, each with its latest trial and how many it ended.
export function workersOf(study) {
  const found = new Map();
  for (const row of study.rows.values()) {
    if (row.worker === null || row.heard < study.standing.since) continue;
    const known = found.get(row.worker) ?? { name: row.worker, row, ended: 0 };
    if (row.heard >= known.row.heard) known.row = row;
    known.ended += row.completed !== null;
    found.set(row.worker, known);
  }
  return [...found.values()].sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
}

// Seconds per epoch and unit of cost that half of the trainings needed at most.
function paceOf(study) {
  const epochs = study.facts.training.epochs ?? 1;
  const paces = study.all().filter((row) => row.state === "complete" && row.started !== null && row.objective > 0)
    .map((row) => (row.completed - row.started) / epochs / row.objective).sort((a, b) => a - b);
  return paces.length ? paces[Math.floor(paces.length / 2)] : 0;
}

function silence(study, row) {
  return study.since(Math.max(row.heard ?? 0, row.started ?? 0, study.standing.since ?? 0));
}

function isStale(study, row, pace) {
  return silence(study, row) > Math.max(LEAST_SILENCE, EPOCHS * pace * row.objective);
}

function trial(app, study, row, pace) {
  const waits = study.standing.state !== "running";
  const stale = waits || isStale(study, row, pace);
  const meter = el("span", { class: "meter" }, el("span", { class: "fill" }));
  meter.firstChild.style.width = `${row.epochs ? (100 * row.epoch) / row.epochs : 0}%`;
  const text = row.epoch ? `epoch ${row.epoch} of ${row.epochs}, ${percent(row.latest)}` : "first epoch";
  const silent = duration(silence(study, row));
  return el("button", { type: "button", class: `run ${stale ? "stale" : ""}`, onclick: () => app.set({ selected: row.number }) },
    el("b", {}, `Trial ${row.number}`), el("span", {}, `${study.costText(row.objective)}, ${text}`), meter,
    el("small", {}, waits ? "waits for the search to continue" : stale ? `no news for ${silent}: slow or stuck` : row.epoch ? `heard ${silent} ago` : `begun ${silent} ago`));
}

function table(app, study, workers, pace) {
  const rows = workers.map(({ name, row, ended }) => {
    const stale = isStale(study, row, pace);
    const latest = `trial ${row.number}, ${row.state === "running" ? `epoch ${row.epoch} of ${row.epochs}` : row.state}`;
    return el("tr", { class: stale ? "stale" : "" }, el("td", {}, name), el("td", {}, latest, stale && el("span", { class: "tag warm" }, "stale")),
      el("td", { class: "number" }, `${duration(study.since(row.heard))} ago`), el("td", { class: "number" }, ended));
  });
  const head = ["Worker", "Latest result", "Heard", "Trials ended"].map((text, i) => el("th", { class: i > 1 ? "number" : "" }, text));
  return el("table", { class: "workers" }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows));
}
