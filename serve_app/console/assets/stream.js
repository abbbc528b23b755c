// The live stream: connects, and connects anew however it ended. Tells `state` of what it is: live, connecting, lost.

import { ask } from "./server.js";

const SILENT_MS = 15000;
const WAIT_MS = [1000, 2000, 5000];

export function watch(names, told, state) {
  let source;
  let failures = 0;
  let silence;
  let retrying;

  function connect() {
    // Whoever asked for it, and however often: there is one stream, and no other is about to begin.
    source?.close();
    clearTimeout(retrying);
    state("connecting");
    source = new EventSource("/ops/events");
    source.onopen = () => {
      failures = 0;
      state("live");
      listen();
    };
    source.onerror = () => {
      state("connecting");
      // The browser connects anew by itself unless it was refused, and does not say why.
      if (source.readyState === EventSource.CLOSED) again();
    };
    for (const name of [...names, "away"]) {
      source.addEventListener(name, (event) => {
        listen();
        told(name, JSON.parse(event.data));
      });
    }
    // A stream is bound to the token that it began with; the browser may hold a newer one. Who asks is told.
    source.addEventListener("signed_out", again);
    listen();
  }

  // Comments of the stream are not heard here, but an overview comes each second, or that it is away did.
  function listen() {
    clearTimeout(silence);
    silence = setTimeout(check, SILENT_MS);
  }

  async function check() {
    // Nothing has changed for a while, or the connection is dead: whoever answers is alive.
    try {
      await ask("GET", "/ops/session");
      if (source.readyState === EventSource.OPEN) listen();
      else again();
    } catch {
      again();
    }
  }

  function again() {
    source.close();
    clearTimeout(silence);
    clearTimeout(retrying);
    state("lost");
    const wait = WAIT_MS[Math.min(failures, WAIT_MS.length - 1)];
    failures += 1;
    retrying = setTimeout(async () => {
      try {
        await ask("GET", "/ops/session"); // Where the session is over this leads to where one signs in.
        connect();
      } catch {
        again();
      }
    }, wait * (0.75 + Math.random() / 2));
  }

  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => event.persisted && connect());
  connect();
}
