// Starts the page: finds the studies, draws the panels, listens for changes.

import { App } from "./app.js";
import { choicesPanel } from "./choices.js";
import { detailsPanel } from "./details.js";
import { byId, el, replace } from "./dom.js";
import { saveCsv, saveJson, savePng, saveSvg } from "./download.js";
import { finalPanel } from "./final_panel.js";
import { frontPlot } from "./front_plot.js";
import { importancePanel } from "./importance.js";
import { progressPlots } from "./progress_plot.js";
import { replayPanel } from "./replay.js";
import { statusPanel } from "./status.js";
import { trialsTable } from "./table.js";
import { workersPanel } from "./workers.js";

const SILENCE = 15000; // ms without a word from the server after which the page calls itself stale

const app = new App();
let heard = Date.now();
let close = () => {};
let listening = "";

function listen() {
  const keys = [app.state.primary, ...app.state.overlays];
  if (!app.source.live || app.state.paused || listening === keys.join()) return;
  close();
  listening = keys.join();
  close = app.source.listen(() => keys.map((key) => app.studies.get(key)), (message) => app.take(message), pulse);
}

function pulse(alive) {
  if (alive) heard = Date.now();
  showPulse(alive);
}

function showPulse(alive) {
  const badge = byId("live");
  const state = !app.source.live ? "report" : app.state.paused ? "paused" : alive && Date.now() - heard < SILENCE ? "live" : "stale";
  badge.className = `badge ${state}`;
  badge.textContent = { live: "Live", stale: "Not connected", paused: "Paused", report: "Report" }[state];
}

function pause() {
  app.state.paused = !app.state.paused;
  byId("pause").textContent = app.state.paused ? "Resume" : "Pause";
  if (app.state.paused) {
    close();
    listening = "";
  } else listen();
  showPulse(true);
}

function drawPicker() {
  const { primary, overlays } = app.state;
  byId("picker").hidden = app.list.length < 2;
  replace(byId("picker"), app.list.map(({ key, name }) => {
    const index = overlays.indexOf(key);
    const overlay = key !== primary && el("button", {
      type: "button", class: "overlay", "aria-pressed": String(index >= 0), title: `Overlay ${name}`, "aria-label": `Overlay ${name}`, onclick: () => attempt(() => app.toggleOverlay(key)),
    }, index >= 0 ? "−" : "+");
    return el("span", { class: `chip ${key === primary ? "primary" : ""} ${index >= 0 ? `series-${index + 1}` : ""}` },
      el("button", { type: "button", "aria-pressed": String(key === primary), onclick: () => attempt(() => app.setPrimary(key)) }, key === app.armOf(primary) ? `${key} (random arm)` : key), overlay);
  }));
}

async function attempt(action) {
  try {
    await action();
    app.error = null;
  } catch (error) {
    app.error = error.message;
    app.schedule();
  }
}

function fromHash() {
  const query = new URLSearchParams(location.hash.slice(1));
  const trial = /^\d+$/.test(query.get("trial") ?? "") ? Number(query.get("trial")) : null;
  return { study: query.get("study"), trial };
}

function toHash() {
  const { primary, selected } = app.state;
  const parts = new URLSearchParams(app.list.length > 1 ? { study: primary } : {});
  if (selected !== null) parts.set("trial", selected);
  const hash = parts.toString();
  history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
}

async function refreshList() {
  app.list = await app.source.studies();
  drawPicker();
}

function noStudy() {
  const notice = byId("notice");
  notice.hidden = false;
  replace(notice, el("p", {}, "There is no study here yet. Start one with "), el("code", {}, "bsconv-nas search"), el("p", {}, "This page looks again every few seconds."));
}

function wireDownloads() {
  const name = () => app.study.facts.name.replace(/[^\w.-]+/g, "-");
  for (const button of document.querySelectorAll("[data-save]")) {
    const [format, chart] = button.dataset.save.split(":");
    button.onclick = () => {
      if (format === "svg") saveSvg(app.charts[chart], `${name()}-${chart}`);
      if (format === "png") savePng(app.charts[chart], `${name()}-${chart}`);
      if (format === "csv") saveCsv(app.study, app.view.rows, name());
      if (format === "json") saveJson(app.study, app.view.rows, app.view.front, name());
    };
  }
}

async function begin() {
  await refreshList();
  if (!app.list.length) {
    noStudy();
    return;
  }
  const wanted = fromHash();
  const key = app.list.some((study) => study.key === wanted.study) ? wanted.study : app.list[0].key;
  if (!app.panels.length) app.panels = [statusPanel, frontPlot, detailsPanel, replayPanel, progressPlots, finalPanel, workersPanel, trialsTable, choicesPanel, importancePanel].map((panel) => panel(app));
  app.onChange = () => {
    drawPicker();
    toHash();
    listen();
  };
  await app.setPrimary(key, { selected: wanted.trial });
  document.documentElement.classList.add("ready");
}

// A study may be in the making just now, or still to come.
async function beginUntilReady() {
  await attempt(begin);
  if (document.documentElement.classList.contains("ready")) return;
  if (app.error) {
    byId("notice").hidden = false;
    replace(byId("notice"), el("p", {}, app.error));
  }
  if (app.source.live) setTimeout(beginUntilReady, 2000);
}

byId("theme").onclick = () => {
  window.toggleTheme();
  app.schedule();
};
byId("pause").onclick = pause;
byId("pause").hidden = !app.source.live;
window.addEventListener("hashchange", () => {
  const { study, trial } = fromHash();
  if (study && study !== app.state.primary && app.list.some((one) => one.key === study)) attempt(() => app.setPrimary(study, { selected: trial }));
  else app.set({ selected: trial });
});
wireDownloads();
showPulse(true);
beginUntilReady();
if (app.source.live) {
  setInterval(() => attempt(refreshList), 5000);
  setInterval(() => {
    showPulse(Date.now() - heard < SILENCE);
    if (app.study && !app.state.paused) app.schedule(); // "heard ... ago"
  }, 5000);
}
