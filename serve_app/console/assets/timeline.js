// All that happened to one payment, whosever it is.

import { code, element, show, table } from "./elements.js";
import { moment, money, spelled } from "./format.js";
import { ask, Refused } from "./server.js";

export function serveTimeline(form) {
  const place = document.querySelector("#payment .body");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const id = form.elements.id.value.trim();
    try {
      const payment = await ask("GET", `/ops/api/payments/${encodeURIComponent(id)}`);
      show(place, element("p", {}, code(payment.id), " of ", code(payment.merchant),
        payment.livemode ? ", live" : ", in test mode"), table(`What happened to ${payment.id}`, [
        ["Time", (each) => moment(each.at)], ["What", (each) => spelled(each.kind)], ["Details", details],
      ], payment.data, "Nothing is known of it."));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      show(place, element("p", { class: "away" }, error.message));
    }
  });
}

function details({ data }) {
  const parts = Object.entries(data).filter(([, value]) => value !== null).map(([name, value]) =>
    name === "amount" && data.currency ? `amount ${money(value, data.currency)}` : `${spelled(name)} ${value}`);
  return parts.join(" · ");
}
