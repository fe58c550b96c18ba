// The top of the page: how the study stands, the main numbers, and what to say of it.

import { byId, copyText, el, replace } from "./dom.js";
import { amount, costAmount, costText, duration, percent } from "./format.js";
import { progress } from "./pareto.js";

const STATES = { running: "Running", finished: "Finished", interrupted: "Interrupted", empty: "No trials yet" };

export function statusPanel(app) {
  return (view) => {
    const { study } = view;
    const { state, resume } = study.standing;
    document.title = `${view.best ? percent(view.best.top1, 1) + " · " : ""}${study.facts.name} · bsconv-nas`;
    byId("study-name").textContent = study.facts.name;
    byId("study-facts").textContent = facts(study);
    byId("state").textContent = STATES[state] ?? state;
    byId("state").className = `pill ${state}`;
    drawNumbers(view);
    drawNotice(app, study, resume);
  };
}

function facts(study) {
  const { facts: { data, image_size: size, classes, training, sampler, space, train_images: images } } = study;
  const budget = study.budget === null ? null : study.costText(study.budget);
  const perCent = (share) => `${+(100 * share).toPrecision(3)} %`;
  const share = training.train_fraction && training.train_fraction < 1 ? ` of ${perCent(training.train_fraction)} of ${amount(images)} images` : "";
  const first = Math.floor((training.small_first ?? 0) * training.epochs);
  const small = first ? ` (the first ${first > 1 ? `${first} ` : ""}with smaller images)` : "";
  return [
    data && `${data}${size ? `, ${size.join("×")} px` : ""}${classes ? `, ${classes} classes` : ""}`,
    budget !== null && `at most ${budget}`,
    training.epochs && `${training.epochs} epoch${training.epochs > 1 ? "s" : ""}${share}${small}`,
    space && `space ${space}`, sampler && `sampler ${sampler}`,
  ].filter(Boolean).join("  ·  ");
}

function drawNumbers({ study, rows, front, best, budget, overlays }) {
  const count = (state) => rows.filter((row) => row.state === state).length;
  const sum = (field) => rows.reduce((total, row) => total + row[field], 0);
  const ended = rows.filter((row) => row.completed !== null);
  const steps = progress(rows, { budget, floor: study.floor, others: overlays.flatMap((other) => other.rows) });
  const volume = steps.length ? steps[steps.length - 1].volume : null;
  const begin = rows.reduce((least, row) => Math.min(least, row.started ?? Infinity), Infinity);
  const end = ended.reduce((most, row) => Math.max(most, row.completed), 0);
  const second = study.costColumns.find(({ id }) => id !== study.facts.objective && best?.cost[id] !== undefined);
  const tiles = [
    tile(percent(best?.top1), "best validation top-1", budget !== null ? `within ${study.costText(budget)}` : "no budget set", "main"),
    tile(best ? costAmount(study.metric(), best.objective) : "–", `${study.metric().name} of the best`, second ? costText(second, best.cost[second.id]) : ""),
    tile(front.length, "networks on the front", volume === null ? "" : `hypervolume ${volume.toFixed(3)}`),
    tile(`${ended.length}`, `of ${study.standing.asked} trials ended`, ended.length ? `over ${duration(end - begin)}` : "", "", ended.length / Math.max(1, study.standing.asked)),
    tile(count("complete"), "trained", `${count("stopped")} stopped early, ${count("failed")} failed`),
    tile(sum("over") + sum("known"), "proposals replaced before training", `${sum("over")} over a limit, ${sum("known")} repeated`),
  ];
  replace(byId("numbers"), tiles);
}

function tile(value, label, more, cls = "", share = null) {
  const meter = share === null ? null : el("span", { class: "meter", "aria-hidden": "true" }, el("span", { class: "fill" }));
  if (meter) meter.firstChild.style.width = `${Math.min(100, 100 * share)}%`;
  return el("div", { class: `tile ${cls}` }, el("strong", {}, String(value)), el("span", {}, label), more && el("small", {}, more), meter);
}

function drawNotice(app, study, resume) {
  const host = byId("notice");
  const message = app.error ?? study.error;
  const parts = message ? [el("p", {}, `${sentence(message)} What is shown is the last that was read.`)] : standing(app, study, resume);
  host.hidden = !parts.length;
  host.classList.toggle("bad", Boolean(message));
  replace(host, parts);
}

function standing(app, study, resume) {
  const parts = [];
  if (!study.rows.size) parts.push(el("p", {}, "No network has been proposed yet. This page fills itself as soon as the search stores its first trial."));
  else if (!study.all().some((row) => row.allowed)) parts.push(el("p", {}, "No network so far is within the limits."));
  else if (study.ended && !study.all().some((row) => row.state === "complete")) parts.push(el("p", {}, withoutAccuracy(study)));
  if (study.standing.state === "interrupted" && app.source.live) parts.push(el("p", {}, "The search does not run. To continue it:"), command(resume));
  return parts;
}

function withoutAccuracy(study) {
  const count = (state) => study.all().filter((row) => row.state === state).length;
  return `No network has been trained to the end yet: ${count("failed")} failed, ${count("stopped")} stopped early. Click one below to see why.`;
}

function sentence(text) {
  return /[.?!]$/.test(text) ? text : `${text}.`;
}

function command(text) {
  return el("div", { class: "command" }, el("code", {}, text), el("button", { type: "button", onclick: (event) => copyText(text, event.currentTarget) }, "Copy"));
}
