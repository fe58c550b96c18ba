// Where data comes from: the server that sent this page, or the page itself when it is a report on disk.

export function openSource() {
  const embedded = document.getElementById("report-data");
  return embedded ? new ReportSource(JSON.parse(embedded.textContent)) : new ServerSource();
}

class ServerSource {
  live = true;

  studies = () => get("api/studies");
  snapshot = (key) => get("api/snapshot", { study: key });
  trial = (key, number) => get("api/trial", { study: key, number });
  choices = (key, numbers) => get("api/choices", { study: key, numbers: numbers.join(",") });
  importance = (key) => get("api/importance", { study: key });

  // Calls `onMessage` for each change and `onPulse(alive)` when the connection is heard or lost; returns what ends it.
  listen(studies, onMessage, onPulse) {
    let events = null;
    let timer = null;
    const close = () => {
      clearTimeout(timer);
      events?.close();
    };
    const open = () => {
      const query = new URLSearchParams(studies().map((s) => ["study", `${s.key}:${s.epoch}:${s.revision}`]));
      events = new EventSource(`api/stream?${query}`);
      events.onopen = () => onPulse(true);
      events.addEventListener("alive", () => onPulse(true));
      events.onmessage = (event) => {
        onPulse(true);
        onMessage(JSON.parse(event.data));
      };
      events.onerror = () => {
        onPulse(false);
        close();
        timer = setTimeout(open, 2000); // opened anew with the revisions that are held by then
      };
    };
    open();
    return close;
  }
}

class ReportSource {
  live = false;

  constructor(data) {
    this.data = data;
  }

  studies = async () => this.data.studies.map(({ key, name, arm }) => ({ key, name, arm }));
  snapshot = async (key) => this.study(key).snapshot;
  importance = async (key) => this.study(key).importance;
  listen = () => () => {};

  trial = async (key, number) => {
    const found = this.study(key).trials[number];
    if (!found) throw new Error("The report keeps the layers of the front only; open the dashboard for this network.");
    return found;
  };

  choices = async (key, numbers) => {
    const known = this.study(key).choices;
    return Object.fromEntries(numbers.map((number) => [number, known[number] ?? []]));
  };

  study(key) {
    return this.data.studies.find((study) => study.key === key);
  }
}

async function get(path, query = {}) {
  const response = await fetch(`${path}?${new URLSearchParams(query)}`);
  const answer = await response.json().catch(() => ({ error: "the server's answer could not be read" }));
  if (!response.ok) throw new Error(answer.error);
  return answer;
}
