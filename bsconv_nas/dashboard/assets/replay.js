// The slider that shows the search as it was.

import { byId } from "./dom.js";

export function replayPanel(app) {
  const slider = byId("replay");
  const button = byId("replay-play");
  let timer = null;
  const stop = () => {
    clearInterval(timer);
    timer = null;
    button.textContent = "▶";
    button.setAttribute("aria-label", "Replay the search");
  };
  const tick = () => {
    const ended = app.study.ended;
    const next = (app.state.replay ?? 0) + Math.max(1, Math.round(ended / 120));
    if (next >= ended) stop();
    app.set({ replay: next >= ended ? null : next });
  };
  slider.oninput = () => {
    stop();
    const count = Number(slider.value);
    app.set({ replay: count >= app.study.ended ? null : count });
  };
  button.onclick = () => {
    if (timer) return stop();
    button.textContent = "❚❚";
    button.setAttribute("aria-label", "Stop the replay");
    if (app.state.replay === null) app.set({ replay: 1 });
    timer = setInterval(tick, 80);
  };
  return ({ study }) => {
    const ended = study.ended;
    slider.max = Math.max(1, ended);
    slider.value = app.state.replay ?? slider.max;
    slider.disabled = button.disabled = ended < 2;
    byId("replay-text").textContent = app.state.replay === null ? `all ${ended} ended trials` : `after ${app.state.replay} of ${ended} trials`;
  };
}
