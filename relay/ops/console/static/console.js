// What the keyboard does, and what is only possible with a script. Every page works without this file.
"use strict";

(() => {
  document.documentElement.classList.add("scripted");

  const rows = () => [...document.querySelectorAll("[data-row]")].filter((row) => row.querySelector("a"));

  function choose(step) {
    const all = rows();
    if (!all.length) return;
    const at = all.findIndex((row) => row.classList.contains("chosen"));
    const next = Math.min(all.length - 1, Math.max(0, at === -1 ? 0 : at + step));
    all.forEach((row) => row.classList.remove("chosen"));
    all[next].classList.add("chosen");
    all[next].querySelector("a").focus({ preventScroll: true });
    all[next].scrollIntoView({ block: "nearest" });
  }

  function search() {
    const field = document.querySelector("form[role=search] [name=text], form[role=search] input");
    if (!field) return false;
    for (let part = field.parentElement; part; part = part.parentElement) if (part.tagName === "DETAILS") part.open = true;
    field.focus();
    field.select();
    return true;
  }

  function help() {
    let dialog = document.getElementById("keys");
    if (!dialog) {
      dialog = document.createElement("dialog");
      dialog.id = "keys";
      dialog.setAttribute("aria-label", "Keys");
      const keys = { j: "next line", k: "line before", Enter: "open it", "/": "search", r: "load again", "?": "this help", Esc: "close" };
      const list = document.createElement("dl");
      for (const [key, means] of Object.entries(keys)) {
        const name = document.createElement("dt");
        name.append(Object.assign(document.createElement("kbd"), { textContent: key }));
        list.append(name, Object.assign(document.createElement("dd"), { textContent: means }));
      }
      const close = Object.assign(document.createElement("button"), { textContent: "Close" });
      close.addEventListener("click", () => dialog.close());
      dialog.append(Object.assign(document.createElement("h2"), { textContent: "Keys" }), list, close);
      document.body.append(dialog);
    }
    dialog.showModal();
  }

  // How many events have come. The list stays as it is: whoever wants the new ones follows the link.
  function follow(box) {
    const link = box.querySelector("[data-news]");
    const pause = box.querySelector("[data-pause]");
    const most = Number(box.dataset.most);
    let stream = null;
    let paused = false;
    function show(count) {
      link.textContent = count ? `Show ${count >= most ? `${most}+` : count} new` : "Live: nothing new";
      link.classList.toggle("fresh", count > 0);
    }
    // A browser has six connections to a host: what nobody sees needs none.
    function run() {
      const wanted = !paused && !document.hidden;
      if (wanted && !stream) {
        stream = new EventSource(box.dataset.live);
        stream.onmessage = (message) => show(Number(message.data));
      } else if (!wanted && stream) {
        stream.close();
        stream = null;
      }
    }
    pause.addEventListener("click", () => {
      paused = !paused;
      pause.textContent = paused ? "Go on" : "Pause";
      pause.setAttribute("aria-pressed", String(paused));
      if (paused && !link.classList.contains("fresh")) link.textContent = "Paused";
      run();
    });
    document.addEventListener("visibilitychange", run);
    addEventListener("pagehide", () => stream && stream.close());
    box.hidden = false;
    run();
  }
  document.querySelectorAll("[data-live]").forEach(follow);

  // Rates as lines that tell their values under the pointer. The bars above have the same without a script.
  async function plot(box) {
    if (!window.uPlot) return;
    const answer = await fetch(box.dataset.rates);
    if (!answer.ok || !box.isConnected) return;
    const rates = await answer.json();
    const names = box.dataset.counts.split(" ");
    const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const tones = { chats: "--ok", failed: "--bad", refused: "--look", accepted: "--accent" };
    const step = rates.stepSeconds;
    const first = Math.floor(Date.parse(rates.since) / 1000 / step) * step;
    const times = [];
    for (let at = first; at < Date.parse(rates.until) / 1000; at += step) times.push(at);
    const counted = new Map(rates.rates.map((each) => [Date.parse(each.at) / 1000, each]));
    const lines = names.map((name) => times.map((at) => (counted.has(at) ? counted.get(at)[name] : 0)));
    const series = names.map((name) => ({ label: name, stroke: colour(tones[name]), width: 2, points: { show: false } }));
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
    box.hidden = false;
    const clock = (at) => (at === null ? "" : new Date(at * 1000).toISOString().slice(11, 16));
    const when = { label: "UTC", value: (_, at) => clock(at) };
    const hours = { ...axis, values: (_, places) => places.map(clock) };
    const size = { width: box.clientWidth - 16, height: 220 };
    new uPlot({ ...size, series: [when, ...series], axes: [hours, axis] }, [times, ...lines], box);
  }
  const plots = () => document.querySelectorAll("[data-rates]").forEach(plot);
  addEventListener("load", plots);
  document.addEventListener("htmx:afterSettle", plots);

  // A part of a page that follows something is replaced. Who reads it keeps what is open, the focus and the chosen line.
  let kept = null;
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    const part = detail.target;
    if (new URL(detail.xhr.responseURL).pathname === "/signin") {
      detail.shouldSwap = false; // the session has ended
      location.reload();
    }
    const chosen = part.querySelector(".chosen a");
    kept = {
      open: [...part.querySelectorAll("details[id]")].filter((each) => each.open).map((each) => each.id),
      focused: part.contains(document.activeElement) && (document.activeElement.id || "main"),
      chosen: chosen && chosen.id,
    };
  });
  document.addEventListener("htmx:afterSwap", () => {
    if (!kept) return;
    const { open, focused, chosen } = kept;
    kept = null;
    const find = (id) => id && document.getElementById(id);
    for (const details of open.map(find)) if (details) details.open = true;
    const row = find(chosen) && find(chosen).closest("[data-row]");
    if (row) row.classList.add("chosen");
    if (focused) (find(focused) || find("main")).focus({ preventScroll: true });
  });

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest && event.target.closest("input, select, textarea, dialog");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "j") choose(1);
    else if (event.key === "k") choose(-1);
    else if (event.key === "/" && search()) event.preventDefault();
    else if (event.key === "r") location.reload();
    else if (event.key === "?") help();
  });
})();
