// The shop without a framework: fills a test card in, and follows an order by a poll that the API holds.
"use strict";
(() => {
  const pay = document.getElementById("pay");
  const order = document.getElementById("order");

  const front = () => {
    const typed = pay.querySelector(".typed");
    const total = document.getElementById("total");
    const button = pay.querySelector(".go");

    const show = () => {
      const stored = pay.querySelector("[name=method]:checked")?.value;
      total.textContent = pay.querySelector("[name=item]:checked")?.dataset.price ?? "";
      for (const field of typed.querySelectorAll("input, select, button")) field.disabled = Boolean(stored);
      for (const name of ["number", "holder", "cvc"]) pay.elements[name].required = !stored;
    };

    for (const one of pay.querySelectorAll(".test")) {
      one.addEventListener("click", () => {
        pay.elements.number.value = one.querySelector("code").textContent;
        for (const other of pay.querySelectorAll(".test")) other.setAttribute("aria-pressed", String(other === one));
        button.focus();
      });
    }
    pay.addEventListener("change", show);
    // A second press would send the same order under the same key, and be answered with it: but why ask.
    pay.addEventListener("submit", () => setTimeout(() => (button.disabled = true)));
    // A page that the browser kept whole comes back as it was left.
    addEventListener("pageshow", () => ((button.disabled = false), show()));
    show();
  };

  const follow = () => {
    const HOLD_S = 25; // Under the 30 s the API holds an answer at most.
    const PAUSE_MS = 2000; // As the API asks for where it says nothing.
    const UNTIL = Date.now() + 20 * 60 * 1000; // Longer than a bank's question lives.
    const { number, status, key, tenant } = order.dataset;
    const live = document.getElementById("live");
    let etag = order.dataset.etag;
    live.hidden = false;

    const isOver = () => order.querySelector(".panel").dataset.final === "yes";
    const pause = (ms) => new Promise((done) => setTimeout(done, ms));

    // Once by itself; whoever comes back by the back button is not sent off again.
    const toBank = () => {
      const link = document.getElementById("bank");
      if (!link || sessionStorage.getItem(`sent ${number}`)) return;
      sessionStorage.setItem(`sent ${number}`, "yes");
      location.assign(link.href);
    };

    const shown = async () => {
      const answer = await fetch(`/demo/orders/${number}/panel`, { cache: "no-store", signal: AbortSignal.timeout(10000) });
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      order.innerHTML = await answer.text();
      toBank();
    };

    // The answer comes when the order moves, or after HOLD_S with what we know already.
    const look = async () => {
      const headers = { "x-api-key": key, "x-tn": tenant, Prefer: `wait=${HOLD_S}`, "If-None-Match": etag };
      const answer = await fetch(status, { headers, cache: "no-store", signal: AbortSignal.timeout((HOLD_S + 10) * 1000) });
      if (answer.status === 304) return 0;
      if (!answer.ok) return Number(answer.headers.get("Retry-After")) * 1000 || PAUSE_MS;
      await shown();
      etag = answer.headers.get("ETag") ?? ""; // Only now: what could not be shown is asked for again.
      return 0;
    };

    const watch = async () => {
      // While a page loads, going on would take its place in the browser's history: nobody came back to it.
      if (document.readyState !== "complete") await new Promise((done) => addEventListener("load", done, { once: true }));
      await pause(0);
      toBank();
      while (!isOver() && Date.now() < UNTIL) {
        let ms = PAUSE_MS;
        try {
          const began = Date.now();
          ms = await look();
          if (ms === 0 && Date.now() - began < 100) ms = 250; // Whatever answers at once is not asked in a circle.
          live.textContent = "This page follows your order by itself.";
        } catch {
          live.textContent = "No answer just now; trying again. Your order goes on without this page.";
        }
        await pause(ms);
      }
      live.textContent = isOver() ? "" : "Load this page again to follow your order on.";
    };
    watch();
  };

  if (pay) front();
  if (order) follow();
})();
