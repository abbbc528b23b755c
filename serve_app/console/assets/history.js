// The seconds that the charts show. Each overview brings the last few; what was missed is asked for.

import { ask, Refused } from "./server.js";

const KEPT = 120;
const GAP_MS = 1500;

export class History {
  #seconds = [];
  #asking = false;

  get seconds() {
    return this.#seconds;
  }

  add(overview) {
    const fresh = overview.history ?? [];
    if (!overview.is_brief) this.#seconds = fresh;
    else {
      const first = fresh.length > 0 ? Date.parse(fresh[0].at) : 0;
      const last = this.#seconds.length > 0 ? Date.parse(this.#seconds.at(-1).at) : 0;
      if (last > 0 && first - last > GAP_MS) this.#fill();
      const times = new Set(fresh.map((second) => second.at));
      this.#seconds = [...this.#seconds.filter((second) => !times.has(second.at)), ...fresh];
      this.#seconds.sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
    }
    this.#seconds = this.#seconds.slice(-KEPT);
  }

  async #fill() {
    if (this.#asking) return;
    this.#asking = true;
    try {
      this.add(await ask("GET", "/ops/api/overview"));
    } catch (error) {
      if (!(error instanceof Refused)) throw error; // The charts then show the gap, and the next overview asks again.
    } finally {
      this.#asking = false;
    }
  }
}
