// What each panel shows of what its source says.

import { force, invalidate, redrive, resend, silence, unsilence } from "./actions.js";
import { code, element, show, table } from "./elements.js";
import * as format from "./format.js";

const place = (id) => document.querySelector(`#${id} .body`);
const button = (label, name, key, act) =>
  element("button", { type: "button", onclick: act, "aria-label": name, "data-key": key }, label);

export function showFigures(overview) {
  const now = overview.windows?.["1s"] ?? {};
  const steady = overview.windows?.["10s"] ?? {};
  const figures = [
    ["Requests / s", format.number(now.requests_per_s)],
    ["Payments / s", format.number(now.payments_per_s)],
    ["Errors", format.percent(steady.error_ratio)],
    ["Median", format.milliseconds(steady.p50_ms)],
    ["99 % within", format.milliseconds(steady.p99_ms)],
    ["Processes", format.count(overview.processes?.length)],
  ];
  const list = document.getElementById("figures");
  if (list.children.length === 0) {
    list.append(...figures.map(([name]) => element("div", {}, element("dt", {}, name), element("dd", {}, ""))));
  }
  figures.forEach(([, value], index) => (list.children[index].lastElementChild.textContent = value));
}

export function showLevel({ level, levels = [] }) {
  const name = document.getElementById("level-name");
  const changed = name.dataset.level !== level.level;
  name.dataset.level = level.level;
  name.textContent = level.level;
  const worse = levels.filter((each) => !["excellent", "good"].includes(each.level))
    .map((each) => `${format.spelled(each.metric)}: ${each.reason}`)
    .filter((text) => !level.reason.includes(text));
  document.getElementById("level-reason").textContent = [...new Set([level.reason, ...worse])].join("; ");
  return changed;
}

export function showSeconds(seconds) {
  show(document.getElementById("seconds"), table("The last seconds", [
    ["Time", (each) => format.time(each.at)],
    ["Requests / s", (each) => format.number(each.requests_per_s), true],
    ["Payments / s", (each) => format.number(each.payments_per_s), true],
    ["Errors", (each) => format.percent(each.error_ratio), true],
    ["Median", (each) => format.milliseconds(each.p50_ms), true],
    ["99 % within", (each) => format.milliseconds(each.p99_ms), true],
  ], seconds.slice(-20).reverse(), "No requests yet."));
}

export function showWaits({ waits = [] }) {
  show(place("waits"), table("Where requests wait", [
    ["Stage", (each) => format.spelled(each.stage)],
    ["Share of the time", (each) => bar(each.share, `${each.stage}: ${format.percent(each.share)}`)],
    ["", (each) => format.percent(each.share), true],
    ["Median", (each) => format.milliseconds(each.p50_ms), true],
    ["99 % within", (each) => format.milliseconds(each.p99_ms), true],
  ].map(named("Share")), waits, "No requests yet."));
}

export function showResources({ resources = [] }) {
  const sorted = [...resources].sort((a, b) => b.utilisation - a.utilisation);
  show(place("resources"), table("Resources", [
    ["Resource", (each) => format.spelled(each.resource)],
    ["In use", (each) => bar(each.utilisation, each.resource, each.threshold)],
    ["", (each) => format.percent(each.utilisation), true],
    ["Alerts above", (each) => format.percent(each.threshold), true],
  ].map(named("Share")), sorted, "Nothing is measured yet."));
}

export function showChanges({ changes = [] }) {
  const newest = [...changes].sort((a, b) => Date.parse(b.at) - Date.parse(a.at)).slice(0, 20);
  show(place("changes"), table("What changed", [
    ["Time", (each) => format.time(each.at)], ["Kind", (each) => each.kind], ["What", (each) => each.what],
  ], newest, "Nothing changed lately."));
}

export function showAdvice({ forecast, recommendations = [], trends = [] }) {
  const lines = [];
  if (forecast) {
    const [low, high] = forecast.interval ?? [];
    lines.push(`In a minute ${format.number(forecast.arrival_per_s_in_60s)} requests per second are expected ` +
      `(${format.number(low)} to ${format.number(high)}). ` + (forecast.saturates_in_s === null
        || forecast.saturates_in_s === undefined ? "Nothing fills up at this rate."
        : `${format.spelled(forecast.resource ?? "A resource")} is full in ${format.count(forecast.saturates_in_s)} s.`));
  }
  for (const trend of trends.filter((each) => each.direction !== "steady")) {
    lines.push(`${format.spelled(trend.metric)} is ${trend.direction} (${format.percent(trend.confidence)} certain).`);
  }
  show(place("advice"), ...lines.map((line) => element("p", {}, line)), table("Advice", [
    ["Change", (each) => [each.change, each.setting ? ` (${each.setting})` : ""].join("")],
    ["Why", (each) => each.why], ["Gain", (each) => each.expected_gain],
  ], recommendations, "No advice."));
}

export function showAlerts({ alerts = [], silences = [] }) {
  const rank = { firing: 0, pending: 1, resolved: 2 };
  const sorted = [...alerts].sort((a, b) => rank[a.state] - rank[b.state] || Date.parse(b.since) - Date.parse(a.since));
  const labels = (alert) => Object.entries(alert.labels ?? {}).map(([name, value]) => `${name}=${value}`).join(" ");
  show(place("alerts"), table("Alerts", [
    ["Alert", (each) => element("span", {}, element("strong", {}, each.name), " ", code(labels(each)))],
    ["State", (each) => element("span", { class: each.state === "firing" ? "is-critical" : each.state === "pending"
      ? "is-fair" : "is-good" }, `${each.state}, ${each.severity}`)],
    ["Since", (each) => format.moment(each.since)],
    ["Why", (each) => each.reason],
    ["What changed", (each) => (each.changes ?? []).map((change) => change.what).join("; ")],
    ["Action", (each) => (each.silenced_until ? `silent until ${format.time(each.silenced_until)}`
      : each.state === "resolved" ? "" : button("Silence", `Silence ${each.name} ${labels(each)}`,
        `silence-${each.id}`, () => silence(each)))],
  ], sorted, "No alert."), silences.length > 0 ? table("Silences", [
    ["Silence", (each) => each.alert], ["Until", (each) => format.moment(each.until)],
    ["By", (each) => code(each.by)], ["Why", (each) => each.why],
    ["Action", (each) => button("End", `End the silence of ${each.alert}`, `end-${each.id}`, () => unsilence(each))],
  ], silences, "") : null);
  return sorted.filter((each) => each.state === "firing" && !each.silenced_until).map((each) => each.name);
}

export function showBreakers({ data }) {
  const good = { closed: "is-good", half_open: "is-fair", open: "is-critical" };
  show(place("breakers"), table("Circuit breakers", [
    ["Breaker", (each) => code(each.name)],
    ["State", (each) => element("span", { class: good[each.state] }, format.spelled(each.state)
      + (each.forced ? `, held ${each.forced}` : ""))],
    ["Calls in 10 s", (each) => format.count(each.calls), true],
    ["Failed", (each) => format.percent(each.failure_rate), true],
    ["Action", (each) => element("span", {},
      button("Open", `Hold ${each.name} open`, `open-${each.name}`, () => force(each.name, "open")),
      button("Close", `Hold ${each.name} closed`, `close-${each.name}`, () => force(each.name, "closed")),
      each.forced ? button("Reset", `Let ${each.name} decide again`, `auto-${each.name}`,
        () => force(each.name, "auto")) : null)],
  ], data, "No breaker is known."));
}

export function showCache({ shards, models }) {
  const names = Object.keys(models).filter((name) => models[name].reads > 0);
  const down = shards.filter((shard) => !shard.ready).map((shard) => shard.name);
  show(place("cache"),
    element("p", {}, shards.length === 0 ? "The cache is switched off."
      : `${shards.length} shards${down.length > 0 ? `; not ready: ${down.join(", ")}` : ", all ready"}. `,
    shards.length === 0 ? null : button("Invalidate…", "Invalidate cached values", "invalidate",
      () => invalidate(Object.keys(models)))),
    table("Shards", [
      ["Shard", (each) => each.name], ["Entries", (each) => format.count(each.entries), true],
      ["Bytes", (each) => format.bytes(each.bytes_used), true],
      ["Limit", (each) => format.bytes(each.bound_bytes), true],
    ].filter(([title]) => title !== "Limit" || shards.some((each) => each.bound_bytes)), shards, ""),
    table("Reads by model", [
      ["Model", (name) => format.spelled(name)], ["Reads", (name) => format.count(models[name].reads), true],
      ["Hits", (name) => format.percent(models[name].hit_rate), true],
      ["Shard, 99 %", (name) => format.seconds(models[name].latency?.shard?.p99_s), true],
      ["Database, 99 %", (name) => format.seconds(models[name].latency?.database?.p99_s), true],
    ], names, "Nothing was read yet."));
}

export function showPool(pool) {
  show(place("pool"),
    element("p", {}, `${format.count(pool.budget - pool.free)} of ${format.count(pool.budget)} connections are leased; `
      + `${format.count(pool.waiting)} processes wait.` + (pool.window ? ` Maintenance window until `
      + `${format.time(pool.window.ends_at)}: ${pool.window.reason}` : "")),
    table("Leases", [
      ["Process", (each) => each.process], ["May have", (each) => format.count(each.size), true],
      ["In use", (each) => format.count(each.in_use), true], ["Waiting", (each) => format.count(each.waiting), true],
      ["Utilisation", (each) => format.percent(each.utilisation), true],
    ], pool.leases, "Nobody has a connection."));
}

export function showTasks({ scheduler, data, has_more: more }) {
  const waiting = scheduler && Object.values(scheduler.waiting).reduce((sum, count) => sum + count, 0);
  const workers = scheduler?.workers.filter((worker) => worker.connected).length;
  show(place("tasks"),
    element("p", {}, scheduler === null ? "The scheduler does not answer; tasks wait in the database."
      : `${format.count(waiting)} wait, ${format.count(scheduler.running)} run on ${format.count(workers)} workers, `
        + `${format.count(scheduler.delayed)} are due soon. `,
    data.length > 0 ? button(`Run all ${data.length} shown again`, "Run all dead tasks that are shown again", "all-tasks",
      () => redrive(data)) : null),
    table("Dead tasks", [
      ["Dead task", (each) => element("span", {}, each.name, " ", code(each.id))],
      ["Runs", (each) => format.count(each.attempts), true], ["Why", (each) => each.error ?? ""],
      ["Ended", (each) => format.moment(each.finished_at)],
      ["Action", (each) => button("Run again", `Run ${each.name} ${each.id} again`, `task-${each.id}`,
        () => redrive([each]))],
    ], data, "No task is dead."), more ? element("p", { class: "quiet" }, "There are more.") : null);
}

export function showWebhooks({ pending, failed, data, has_more: more }) {
  show(place("webhooks"),
    element("p", {}, `Of the last day ${format.count(pending)}${more ? " or more" : ""} wait and `
      + `${format.count(failed)}${more ? " or more" : ""} were given up.`),
    table("Deliveries that have not arrived", [
      ["Event", (each) => element("span", {}, each.event_type, " ", code(each.id))],
      ["To", (each) => element("span", {}, each.merchant, " ", code(each.endpoint))],
      ["State", (each) => element("span", { class: each.status === "failed" ? "is-critical" : "is-fair" },
        each.status + (each.reason ? `, ${format.spelled(each.reason)}` : ""))],
      ["Tries", (each) => format.count(each.tries), true],
      ["Answer", (each) => each.response_code ?? each.error ?? "–"],
      ["Action", (each) => (each.status === "failed" ? button("Send again", `Send ${each.event_type} ${each.id} again`,
        `send-${each.id}`, () => resend(each)) : format.time(each.next_try_at))],
    ], data.slice(0, 20), "All have arrived."));
}

export function showDatabase({ optimizer, optimizer_journal: journal, maintenance }) {
  show(place("database"),
    element("p", {}, optimizer === null ? "The optimizer is off or does not answer. " : `The optimizer is in mode `
      + `${optimizer.mode}; ${format.count(optimizer.rounds)} rounds, ${optimizer.proposals.length} proposals. `
      + (optimizer.fault ? `Its last round failed: ${optimizer.fault}. ` : ""),
    `Maintenance plans ${maintenance.planned.length} steps.`),
    table("Journal", [
      ["Time", (each) => format.moment(each.at)], ["Action", (each) => each.action + (each.undone_at ? ", undone" : "")],
      ["Index", (each) => code(each.index)], ["Why", (each) => each.why],
      ["Before", (each) => format.milliseconds(each.before_ms), true],
      ["After", (each) => format.milliseconds(each.after_ms), true],
    ], journal.slice(0, 15), "It has done nothing yet."));
}

function bar(value, label, high) {
  const full = Math.min(1, Math.max(0, value ?? 0));
  return element("meter", { min: 0, max: 1, value: full, high: high ?? 1, "aria-label": format.spelled(label) });
}

// A column of bars has a title, which the figures beside it share.
function named(second) {
  return ([title, ...rest]) => [title === "" ? second : title, ...rest];
}
