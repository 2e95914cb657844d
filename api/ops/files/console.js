// Keeps the overview fresh: one document every few seconds while somebody can see it, and no more.
"use strict";
(() => {
  const EVERY_MS = 5000; // As the bars of the chart.
  const WITHIN_MS = 10000; // An answer that takes longer is none; the next one may be quicker.
  const live = document.getElementById("live");
  document.getElementById("did")?.focus();
  if (!live) return;
  const state = document.getElementById("live-state");
  let timer = 0;

  const show = ({ at, panels }) => {
    for (const [name, html] of Object.entries(panels)) {
      const panel = document.querySelector(`[data-panel="${name}"]`);
      // Whoever is on a link in it keeps their place; it is renewed when they have moved on.
      if (panel && !panel.contains(document.activeElement) && panel.innerHTML !== html) panel.innerHTML = html;
    }
    document.getElementById("live-at").textContent = at;
    state.textContent = "";
  };

  const look = async () => {
    try {
      const answer = await fetch(live.dataset.live, { signal: AbortSignal.timeout(WITHIN_MS), cache: "no-store" });
      if (answer.status === 401) {
        state.textContent = ". Your session is over: load the page to log in again.";
        return;
      }
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      show(await answer.json());
    } catch {
      state.textContent = ". No answer since; trying again.";
    }
    plan();
  };

  const plan = () => {
    clearTimeout(timer);
    timer = document.hidden ? 0 : setTimeout(look, EVERY_MS);
  };

  document.addEventListener("visibilitychange", () => (document.hidden ? plan() : look()));
  plan();
})();
