"""What the generator itself can do and costs, against a server that does nothing.

`python -m tests.bench.overload.ceiling`. The server shares the processors with it.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
from multiprocessing.connection import Connection as Pipe
from typing import cast

import uvloop

from tests.bench.overload.answer import Outcome
from tests.bench.overload.generator import Plan
from tests.bench.overload.processes import run
from tests.bench.overload.schedule import Arrivals
from tests.bench.overload.stream import Merchant, Stream

RATES_PER_S = (500, 1500, 3000, 6000, 9000, 12_000, 15_000, 20_000)
SECONDS = 5
CONNECTIONS_MAX = 1000
_ANSWER = b'HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 600\r\n\r\n{"%s"}' % (b"x" * 596)


class _Nothing(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one in all but its ancestry.
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        # A request is smaller than a segment on loopback, and there is one at a time.
        self._transport.write(_ANSWER)


def _serve(pipe: Pipe) -> None:
    uvloop.run(_listen(pipe))


async def _listen(pipe: Pipe) -> None:
    server = await asyncio.get_running_loop().create_server(_Nothing, "127.0.0.1", 0, backlog=1024)
    pipe.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def main() -> int:
    """Offer one rate after the other."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    try:
        port = ours.recv()
        create = Merchant(f"http://127.0.0.1:{port}", "sk_test_nothing").create()
        for rate in RATES_PER_S:
            tally = run(
                Plan("127.0.0.1", port, (Stream("create", create, Arrivals(rate, 0, SECONDS)),), CONNECTIONS_MAX)
            )
            late_ms = (tally.late_s.quantile(0.99) or 0.0) * 1e3
            missing = tally.count(frozenset(Outcome) - {Outcome.GOOD})
            p50_ms, p99_ms = (tally.latency_ms(part, (Outcome.GOOD,)) or 0.0 for part in (0.5, 0.99))
            print(
                f"{rate:>7,}/s  {tally.cpu_us_each:5.1f} us each  sent late p99 {late_ms:6.2f} ms  "
                f"latency p50 {p50_ms:6.2f}, p99 {p99_ms:6.2f} ms  not served {missing:,}"
            )
    finally:
        server.terminate()
        server.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
