// The state of the page, and what follows from it. Panels read it and ask for changes; nothing else is shared.

import { bestUnder, frontOf } from "./pareto.js";
import { openSource } from "./source.js";
import { Study } from "./store.js";

const MOST_OVERLAYS = 3;

export class App {
  constructor() {
    this.source = openSource();
    this.list = [];
    this.studies = new Map();
    this.charts = {};
    this.error = null;
    this.state = {
      primary: null, overlays: [], selected: null, compared: null, budget: null, replay: null, axis: "trials", cost: null,
      hidden: new Set(["published"]), paused: false,
    };
    this.panels = [];
    this.scheduled = false;
    this.offered = new Set();
    this.onChange = () => {};
  }

  get study() {
    return this.studies.get(this.state.primary);
  }

  set(patch) {
    Object.assign(this.state, patch);
    this.schedule();
    this.onChange(patch);
  }

  toggleHidden(group) {
    const { hidden } = this.state;
    if (!hidden.delete(group)) hidden.add(group);
    this.schedule();
  }

  async setPrimary(key, patch = {}) {
    await this.load(key);
    const overlays = this.state.overlays.filter((other) => other !== key && this.comparable(other, key));
    const arm = this.armOf(key);
    if (arm && !overlays.includes(arm) && !this.offered.has(arm)) {
      this.offered.add(arm); // once: whoever takes it away does not want it
      await this.load(arm);
      overlays.push(arm);
    }
    for (const chart of Object.values(this.charts)) chart.view = null;
    this.set({ primary: key, selected: null, compared: null, budget: null, replay: null, overlays: overlays.slice(-MOST_OVERLAYS), ...patch });
  }

  // Selects a trial, of an overlaid study by making that the main one.
  select(study, number) {
    if (study === this.study) this.set({ selected: number });
    else this.setPrimary(study.key, { selected: number });
  }

  // The key of the random search under the same conditions.
  armOf(key) {
    return this.list.find((study) => study.key === key)?.arm ?? null;
  }

  async toggleOverlay(key) {
    const { overlays } = this.state;
    if (overlays.includes(key)) return this.set({ overlays: overlays.filter((other) => other !== key) });
    await this.load(key);
    if (!this.comparable(key, this.state.primary)) throw new Error(`${key} makes another cost low (${this.studies.get(key).metric().name}), so it cannot be laid over ${this.state.primary}`);
    return this.set({ overlays: [...overlays, key].slice(-MOST_OVERLAYS) });
  }

  // Whether two studies make the same cost low.
  comparable(one, two) {
    return this.studies.get(one).facts.objective === this.studies.get(two).facts.objective;
  }

  async load(key) {
    if (this.studies.has(key)) return;
    const study = new Study(key);
    study.take(await this.source.snapshot(key));
    this.studies.set(key, study);
  }

  take(message) {
    const study = this.studies.get(message.study);
    if (!study) return;
    study.take(message);
    if (message.fresh) this.source.snapshot(message.study).then(({ facts }) => study.take({ facts })).then(() => this.schedule());
    this.schedule();
  }

  schedule() {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      this.render();
    });
  }

  render() {
    if (!this.study) return;
    this.view = this.viewOf(this.study);
    this.view.overlays = this.state.overlays.map((key) => this.studies.get(key)).filter(Boolean).map((study) => {
      const rows = study.seen(null);
      return { study, rows, front: frontOf(rows) };
    });
    for (const update of this.panels) update(this.view);
    document.documentElement.dataset.drawn = String(this.study.revision);
  }

  viewOf(study) {
    const rows = study.seen(this.state.replay);
    const front = frontOf(rows);
    const budget = this.state.budget ?? study.budget;
    return { study, rows, front, budget, best: bestUnder(front, budget), overlays: [] };
  }
}
