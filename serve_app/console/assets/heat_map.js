// The latency heat map: time to the right, latency upwards on a logarithmic scale, the darker the more requests.

import { milliseconds } from "./format.js";

const ROWS = 18;
const LOW_MS = 0.5;
const HIGH_MS = 10000;
const LEFT = 52;
const BOTTOM = 16;
const SECONDS = 120;

const row = (ms) => Math.min(ROWS - 1, Math.max(0, Math.floor(
  (Math.log(ms / LOW_MS) / Math.log(HIGH_MS / LOW_MS)) * ROWS)));

export function drawHeatMap(canvas, seconds) {
  const box = canvas.getBoundingClientRect();
  const scale = devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(box.width * scale));
  canvas.height = Math.max(1, Math.round(box.height * scale));
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  const style = getComputedStyle(document.documentElement);
  const heat = style.getPropertyValue("--heat").trim();
  const width = (box.width - LEFT) / SECONDS;
  const height = (box.height - BOTTOM) / ROWS;
  const end = seconds.length > 0 ? Math.round(Date.parse(seconds.at(-1).at) / 1000) : 0;
  const columns = seconds.map((second) => ({
    index: SECONDS - 1 - (end - Math.round(Date.parse(second.at) / 1000)), counts: counted(second.latency ?? []),
  }));
  const most = Math.max(1, ...columns.flatMap((column) => column.counts));
  for (const { index, counts } of columns) {
    if (index < 0) continue;
    counts.forEach((count, level) => {
      if (count === 0) return;
      // The square root, so that the few slow ones are seen beside the many quick ones.
      context.fillStyle = `rgb(${heat} / ${Math.max(0.12, Math.sqrt(count / most))})`;
      context.fillRect(LEFT + index * width, (ROWS - 1 - level) * height, Math.max(1, width - 0.5), height - 0.5);
    });
  }
  drawScale(context, style.getPropertyValue("--quiet").trim(), box, height);
  canvas.setAttribute("aria-label", inWords(columns));
}

function counted(latency) {
  const counts = new Array(ROWS).fill(0);
  for (const [upper, count] of latency) counts[row(upper ?? HIGH_MS)] += count;
  return counts;
}

function drawScale(context, colour, box, height) {
  context.fillStyle = colour;
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  for (const ms of [1, 10, 100, 1000, 10000]) {
    const y = Math.max(7, (ROWS - (Math.log(ms / LOW_MS) / Math.log(HIGH_MS / LOW_MS)) * ROWS) * height);
    context.fillText(ms < 1000 ? `${ms} ms` : `${ms / 1000} s`, 4, y);
  }
  context.textBaseline = "alphabetic";
  context.fillText("2 minutes ago", LEFT, box.height - 3);
  context.textAlign = "right";
  context.fillText("now", box.width - 2, box.height - 3);
}

function inWords(columns) {
  const sums = new Array(ROWS).fill(0);
  for (const { counts } of columns) counts.forEach((count, level) => (sums[level] += count));
  const total = sums.reduce((sum, count) => sum + count, 0);
  if (total === 0) return "No requests in the last two minutes.";
  const upper = (level) => milliseconds(LOW_MS * (HIGH_MS / LOW_MS) ** ((level + 1) / ROWS));
  const top = sums.reduce((best, count, level) => (count > sums[best] ? level : best), 0);
  const slowest = sums.findLastIndex((count) => count > 0);
  return `${total} requests in the last two minutes; most took up to ${upper(top)}, the slowest up to ${upper(slowest)}.`;
}
