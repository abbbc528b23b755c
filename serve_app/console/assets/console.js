// The operations page: what comes over the stream goes to its panel.

import { signOut } from "./actions.js";
import { describe, LineChart } from "./charts.js";
import { time } from "./format.js";
import { drawHeatMap } from "./heat_map.js";
import { History } from "./history.js";
import * as panels from "./panels.js";
import { ask } from "./server.js";
import { watch } from "./stream.js";
import { serveTimeline } from "./timeline.js";

const USED_EVERY_MS = 300000;
const history = new History();
const heat = document.getElementById("heat");
const announcements = document.getElementById("announcements");
const throughput = new LineChart(document.getElementById("throughput"), [
  ["requests", (second) => second.requests_per_s, "--accent"],
  ["payments", (second) => second.payments_per_s, "--good", [6, 4]],
]);
const latency = new LineChart(document.getElementById("latency"), [
  ["median", (second) => second.p50_ms, "--accent"], ["99 %", (second) => second.p99_ms, "--bad", [6, 4]],
]);
let firing = [];

const shown = {
  overview(overview) {
    history.add(overview);
    const seconds = history.seconds;
    const [traffic, delay] = describe(seconds);
    if (panels.showLevel(overview)) announce(`Level ${overview.level.level}: ${overview.level.reason}`);
    panels.showFigures(overview);
    throughput.show(seconds, traffic);
    latency.show(seconds, delay);
    drawHeatMap(heat, seconds);
    if (document.querySelector("#traffic details").open) panels.showSeconds(seconds);
    panels.showWaits(overview);
    panels.showResources(overview);
    panels.showChanges(overview);
    panels.showAdvice(overview);
    const clock = document.getElementById("clock");
    clock.textContent = `as of ${time(overview.at)}`;
    clock.dataset.at = overview.at;
  },
  alerts(view) {
    const names = panels.showAlerts(view);
    const fresh = names.filter((name) => !firing.includes(name));
    firing = names;
    document.title = names.length > 0 ? `(${names.length}) EasyPay operations` : "EasyPay operations";
    if (fresh.length > 0) announce(`Alert: ${fresh.join(", ")}`);
  },
  breakers: panels.showBreakers,
  cache: panels.showCache,
  pool: panels.showPool,
  tasks: panels.showTasks,
  webhooks: panels.showWebhooks,
  database: panels.showDatabase,
};

function told(name, data) {
  if (name === "away") {
    mark(data.panel, data.reason);
    return;
  }
  mark(name, null);
  shown[name](data);
}

// Says of a panel that its source is away; what it showed last stays.
function mark(panel, reason) {
  for (const section of document.querySelectorAll(`[data-panel="${CSS.escape(panel)}"]`)) {
    const away = section.querySelector(".away");
    const text = reason === null ? "" : panel === "overview" ? `The monitor is away. ${reason}` : reason;
    if (away.textContent === text) continue;
    away.textContent = text;
    away.hidden = reason === null;
    section.classList.toggle("stale", reason !== null);
    if (section.id === "level") announce(reason === null ? "The monitor is back." : text);
  }
}

function announce(text) {
  announcements.textContent = text;
}

function connection(state) {
  const badge = document.getElementById("connection");
  badge.dataset.state = state;
  badge.firstElementChild.textContent = { live: "Live", connecting: "Connecting", lost: "Not connected" }[state];
}

// Neither the stream nor asking whether the session goes on is a use of it: a page that nobody is at is signed out after an hour.
function tellOfUse() {
  let told = Date.now();
  const use = () => {
    if (Date.now() - told < USED_EVERY_MS) return;
    told = Date.now();
    ask("PUT", "/ops/session").catch(() => (told = 0));
  };
  for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, use, { passive: true });
}

document.getElementById("sign-out").addEventListener("click", signOut);
document.querySelector("#traffic details").addEventListener("toggle", () => panels.showSeconds(history.seconds));
new ResizeObserver(() => drawHeatMap(heat, history.seconds)).observe(heat);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawHeatMap(heat, history.seconds));
serveTimeline(document.getElementById("payment-form"));
tellOfUse();
watch(Object.keys(shown), told, connection);
