// What operators do. Each asks first, says what came of it, and is in the audit trail.

import { element } from "./elements.js";
import { ask, Refused } from "./server.js";

const dialog = document.getElementById("confirm");
const toast = document.getElementById("toast");
const TOLD_MS = 8000;
let forgetting;

export function force(name, state) {
  const what = { open: `Hold ${name} open: nothing is sent through it`, auto: `Let ${name} decide by itself again`,
    closed: `Hold ${name} closed: everything is sent through it, whatever fails` }[state];
  act(what, [], () => ask("POST", `/ops/api/breakers/${encodeURIComponent(name)}/force`, { state }));
}

export function invalidate(models) {
  const field = element("select", { id: "model", name: "model", required: true },
    ...models.map((model) => element("option", { value: model }, model)));
  act("Have the cache forget every value of a model", [["Model", field]], async () => {
    const { dropped } = await ask("POST", "/ops/api/cache/invalidate", { models: [field.value] });
    return `${dropped} values were dropped.`;
  });
}

export function redrive(tasks) {
  const what = tasks.length === 1 ? `Run ${tasks[0].name} again` : `Run ${tasks.length} dead tasks again`;
  act(what, [], async () => {
    const refused = [];
    for (const task of tasks) {
      try {
        await ask("POST", `/ops/api/tasks/${task.id}/retry`);
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        refused.push(error.message);
      }
    }
    if (refused.length > 0) throw new Refused(`${refused.length} of ${tasks.length} were refused: ${refused[0]}`);
    return tasks.length === 1 ? "It runs again." : "They run again.";
  });
}

export function resend(delivery) {
  act(`Send ${delivery.event_type} to ${delivery.merchant} again`, [],
    () => ask("POST", `/ops/api/webhooks/${delivery.id}/retry`, {}));
}

export function silence(alert) {
  const minutes = element("input", { id: "minutes", type: "number", min: "1", max: "1440", value: "30", required: "" });
  const why = element("input", { id: "why", required: "", maxlength: "200", autocomplete: "off" });
  act(`Silence ${alert.name}`, [["For how many minutes", minutes], ["Why", why]],
    () => ask("POST", "/ops/api/alerts/silences",
      { alert: alert.name, labels: alert.labels ?? {}, minutes: Number(minutes.value), why: why.value }));
}

export function unsilence(silenced) {
  act(`End the silence of ${silenced.alert}`, [], () => ask("DELETE", `/ops/api/alerts/silences/${silenced.id}`));
}

export async function signOut() {
  try {
    await ask("DELETE", "/ops/session");
    location.assign("/ops");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    tell(error.message);
  }
}

// Asks whether to; does it; tells.
function act(what, fields, work) {
  document.getElementById("confirm-h").textContent = `${what}?`;
  document.getElementById("confirm-fields").replaceChildren(...fields.map(([label, input]) =>
    element("div", { class: "field" }, element("label", { for: input.id }, label), input)));
  dialog.returnValue = "no";
  dialog.onclose = async () => {
    if (dialog.returnValue !== "yes") return;
    try {
      const result = await work();
      tell(`${what}: done. ${typeof result === "string" ? result : ""}`.trim());
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      tell(`${what}: not done. ${error.message}`);
    }
  };
  dialog.showModal();
}

function tell(text) {
  clearTimeout(forgetting);
  toast.textContent = text;
  forgetting = setTimeout(() => (toast.textContent = ""), TOLD_MS);
}
