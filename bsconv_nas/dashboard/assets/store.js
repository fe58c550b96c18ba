// What the page knows of each study: rows by number, facts, and how it stands.

import { costText } from "./format.js";

const FIELDS = [
  "number", "state", "cost", "top1", "allowed", "started", "completed", "identity",
  "epoch", "epochs", "latest", "over", "known", "worker", "heard", "objective",
];

export class Study {
  constructor(key) {
    this.key = key;
    this.epoch = "";
    this.revision = 0;
    this.rows = new Map();
    this.facts = { name: key, limits: {}, objective: "macs", genes: null, training: {}, references: {}, published: [] };
    this.metrics = []; // costs in the order of columns: id, name, label, unit, column
    this.standing = { state: "empty", asked: 0, resume: "" };
    this.final = null;
    this.error = null;
    this.ahead = 0;
  }

  // Takes a snapshot or an update.
  take(message) {
    for (const name of ["facts", "metrics", "standing", "final", "error"]) if (name in message) this[name] = message[name];
    if ("now" in message) this.ahead = Date.now() / 1000 - message.now; // this clock may differ from the server's
    if (message.fresh) this.rows = new Map();
    if ("epoch" in message) [this.epoch, this.revision] = [message.epoch, message.revision];
    for (const values of message.rows ?? []) {
      const row = Object.fromEntries(FIELDS.map((name, index) => [name, values[index]]));
      this.rows.set(row.number, row);
    }
  }

  // Seconds since a time of the server's.
  since(moment) {
    return Math.max(0, Date.now() / 1000 - this.ahead - moment);
  }

  get budget() {
    return this.facts.limits[this.facts.objective] ?? null;
  }

  // How a cost is called and written; by default the one that the search makes low.
  metric(id = this.facts.objective) {
    return this.metrics.find((metric) => metric.id === id) ?? { id, name: id, label: id, unit: "amount", column: true };
  }

  // The costs that are columns and axes.
  get costColumns() {
    return this.metrics.filter((metric) => metric.column);
  }

  // An amount, with its name, of the cost that the search makes low.
  costText(value) {
    return costText(this.metric(), value);
  }

  get floor() {
    return this.facts.classes ? 1 / this.facts.classes : 0;
  }

  all() {
    return [...this.rows.values()];
  }

  // Rows as they were after `count` trials had ended; all for null.
  seen(count) {
    if (count === null) return this.all();
    const ended = this.all().filter((row) => row.completed !== null);
    return ended.sort((a, b) => a.completed - b.completed || a.number - b.number).slice(0, count);
  }

  get ended() {
    let count = 0;
    for (const row of this.rows.values()) if (row.completed !== null) count += 1;
    return count;
  }
}
