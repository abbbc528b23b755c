// Lines over the last two minutes. What a line shows is also said in words, for those who do not see it.

import { milliseconds, number } from "./format.js";

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class LineChart {
  #place;
  #series;
  #chart;

  // A series is [label, value of a second, variable of its colour, dash].
  constructor(place, series) {
    this.#place = place;
    this.#series = series;
    new ResizeObserver(() => this.#fit()).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#make());
  }

  show(seconds, label) {
    const data = [
      seconds.map((second) => Date.parse(second.at) / 1000),
      ...this.#series.map(([, value]) => seconds.map((second) => value(second) ?? null)),
    ];
    if (this.#chart === undefined) this.#make(data);
    else this.#chart.setData(data);
    this.#place.setAttribute("aria-label", label);
  }

  #make(data = this.#chart?.data) {
    if (data === undefined) return;
    this.#chart?.destroy();
    const axis = { stroke: style("--quiet"), grid: { stroke: style("--line"), width: 1 }, ticks: { show: false } };
    this.#chart = new uPlot({
      ...this.#size(),
      cursor: { y: false },
      scales: { y: { range: (_, low, high) => [0, Math.max(1, (high ?? 0) * 1.1)] } },
      axes: [{ ...axis, space: 70 }, { ...axis, size: 52, values: (_, ticks) => ticks.map(number) }],
      series: [{ value: "{HH}:{mm}:{ss}" }, ...this.#series.map(([name, , colour, dash]) => ({
        label: name, stroke: style(colour), width: 2, dash, points: { show: false }, spanGaps: false,
        value: (_, value) => number(value),
      }))],
    }, data, this.#place);
  }

  #fit() {
    this.#chart?.setSize(this.#size());
  }

  #size() {
    return { width: Math.max(200, this.#place.clientWidth), height: 170 };
  }
}

export function describe(seconds) {
  const last = seconds.at(-1);
  if (last === undefined) return ["No requests yet.", "No requests yet."];
  return [
    `${number(last.requests_per_s)} requests and ${number(last.payments_per_s)} payments per second now; ` +
      `highest ${number(Math.max(...seconds.map((second) => second.requests_per_s ?? 0)))} requests`,
    `Half of the requests take up to ${milliseconds(last.p50_ms)}, 99 % up to ${milliseconds(last.p99_ms)}`,
  ];
}
