// Which genes matter for accuracy.

import { bar } from "./details.js";
import { byId, el, replace } from "./dom.js";
import { geneLabel } from "./format.js";

const SHOWN = 12;
const LEAST = 10;

export function importancePanel(app) {
  const host = byId("importance");
  let asked = "";
  let busy = false;
  return async (view) => {
    const complete = view.study.all().filter((row) => row.top1 !== null).length;
    // Worked out anew when a tenth has been added: it takes a second of one core, at low priority.
    const id = `${view.study.key}:${view.study.epoch}:${Math.round(Math.log(Math.max(1, complete)) / Math.log(1.1))}`;
    if (id === asked || busy) return;
    asked = id;
    if (complete < LEAST && app.source.live) {
      replace(host, el("p", { class: "empty" }, `Shown from ${LEAST} trained networks on; there are ${complete}.`));
      return;
    }
    busy = true;
    if (!host.firstChild) replace(host, el("p", { class: "empty" }, "Working it out …"));
    const found = await app.source.importance(view.study.key).catch((error) => ({ error: error.message }));
    busy = false;
    draw(host, found, view.study.facts.genes ? String : geneLabel);
  };
}

function draw(host, found, label) {
  const entries = Object.entries(found).slice(0, SHOWN);
  if (found.error) replace(host, el("p", { class: "empty" }, found.error));
  else if (!entries.length) replace(host, el("p", { class: "empty" }, "Not enough trained networks that differ."));
  else {
    replace(host, el("ol", { class: "ranking" }, entries.map(([name, share]) => el("li", {},
      el("span", { class: "name" }, label(name)), bar(share / entries[0][1]), el("span", { class: "number" }, `${(100 * share).toFixed(1)} %`)))));
  }
}
