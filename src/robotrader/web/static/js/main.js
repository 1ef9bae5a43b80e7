// The overview page: live panels, theme, pause, and the one line that a screen reader hears.
import { chart, start as startChart } from "./chart.js";
import { facts, frame, table } from "./panels.js";
import { start as startStop } from "./stop.js";
import { listen } from "./stream.js";

const SPEAK_EVERY_MS = 5_000;
const TABLES = ["data", "positions", "strategies", "orders", "fills", "denials"];
const show = {
  frame,
  account: (panel) => facts("account", panel),
  equity: chart,
  ...Object.fromEntries(TABLES.map((id) => [id, (panel) => table(id, panel)])),
};
const stream = document.getElementById("stream");
const lost = document.getElementById("lost");
const held = new Map();
let paused = false;
let spoken = 0;

function say(text, { now = false } = {}) {
  if (!now && Date.now() - spoken < SPEAK_EVERY_MS) return;
  spoken = Date.now();
  document.getElementById("said").textContent = text;
}

function receive(name, panel) {
  if (name === "frame") {
    const before = document.getElementById("state").dataset.state;
    frame(panel); // never paused: the trading state is always true
    if (panel.state !== before) say(`Trading state: ${panel.state}. ${panel.meaning}`, { now: true });
  } else if (paused) held.set(name, panel);
  else show[name](panel);
}

const STATES = {
  live: ["Live", ""],
  lost: ["Stream lost", "Live updates are lost (DETAIL). The numbers below are the last ones known. HALT still works."],
  full: ["Too many tabs", "Too many live pages are open. Close one: this page does not move until then."],
  denied: ["Signed out", "You are signed out. To halt, run in a terminal: COMMAND. To sign in, open a new link from robotrader dashboard."],
};
let state = "";

function tell(next, detail) {
  const [word, text] = STATES[next];
  const shown = paused && next === "live" ? "paused" : next === "live" ? "live" : "lost";
  stream.dataset.stream = shown;
  stream.textContent = shown === "paused" ? "Paused" : word;
  document.body.dataset.stream = shown;
  const command = document.querySelector("#ask-halt [data-command]").textContent;
  const told = text.replace("DETAIL", detail).replace("COMMAND", command);
  if (lost.textContent !== told) lost.textContent = told;
  lost.hidden = next === "live";
  if (state && next !== state) say(next === "live" ? "Live updates are back." : told, { now: true });
  state = next;
}

function stored(key, value) {
  try {
    if (value !== undefined) localStorage.setItem(key, value);
    return localStorage.getItem(key);
  } catch {
    return null; // storage may be switched off
  }
}

function startTheme() {
  const button = document.getElementById("theme");
  const names = { system: "System", light: "Light", dark: "Dark" };
  const order = Object.keys(names);
  const name = document.getElementById("theme-name");
  let theme = document.documentElement.dataset.theme ?? "system";
  name.textContent = names[theme];
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = order[(order.indexOf(theme) + 1) % order.length];
    stored("rt-theme", theme);
    name.textContent = names[theme];
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
  });
}

function startPause() {
  const button = document.getElementById("pause");
  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    button.textContent = paused ? "Resume updates" : "Pause updates";
    for (const [name, panel] of held) show[name](panel);
    held.clear();
    tell(state || "live", "");
  });
}

function startKeys() {
  const button = document.getElementById("keys");
  let on = stored("rt-keys") !== "off";
  const write = () => {
    button.textContent = `Shift+H opens HALT: ${on ? "on" : "off"}`;
    button.setAttribute("aria-pressed", String(on));
  };
  button.hidden = false;
  button.addEventListener("click", () => { on = !on; stored("rt-keys", on ? "on" : "off"); write(); });
  write();
  return () => on;
}

function startCopy() {
  const button = document.getElementById("copy");
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById("resume").textContent);
    say("The command is copied.", { now: true });
  });
}

startTheme();
startPause();
startCopy();
startStop((text) => say(text, { now: true }), startKeys());
startChart();
listen(["frame", "account", "equity", ...TABLES], receive, tell);
