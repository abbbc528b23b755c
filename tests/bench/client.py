"""The built-in load generator, for machines without wrk: raw sockets on asyncio, in processes of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import count, cycle, repeat

from tests.bench.load import REQUEST_TIMEOUT_S, SAMPLES_MAX, Load
from tests.bench.target import Target

LENGTH = b"content-length:"
SAMPLE_SECONDS = 2.0


@dataclass(slots=True)
class Tally:
    """Count what one process saw; latencies in seconds."""

    latencies: list[float] = field(default_factory=list)
    failures: int = 0
    samples: list[str] = field(default_factory=list)
    seconds: float = 0.0
    cpu_s: float = 0.0

    def failed(self, what: str) -> None:
        self.failures += 1
        if len(self.samples) < SAMPLES_MAX:
            self.samples.append(what)


class Connection(asyncio.Protocol):
    """Send the next request as soon as the last one is answered."""

    def __init__(self, pieces: tuple[bytes, bytes], changing: Iterator[bytes], tally: Tally) -> None:
        self._head, self._tail = pieces
        self._changing, self._tally = changing, tally
        self._buffer = b""
        self._sent_at = 0.0
        self._stopped = False
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        if self._stopped:
            return
        self._buffer += data
        answer = split_answer(self._buffer)
        if answer is None:
            return
        status, body = answer
        self._buffer = b""
        self._tally.latencies.append(time.perf_counter() - self._sent_at)
        if not 200 <= status <= 299:
            self._tally.failed(f"{status} {body[:500].decode(errors='replace')}")
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._stopped:
            self._tally.failed(f"the connection was closed: {exc}")

    def stop(self) -> None:
        """Send no more; an answer that is still missing after the request's time limit is a failure."""
        self._stopped = True
        if self._sent_at and time.perf_counter() - self._sent_at > REQUEST_TIMEOUT_S:
            self._tally.failed("no answer in time")
        if self._transport is not None:
            self._transport.abort()

    def _send(self) -> None:
        assert self._transport is not None
        request = self._head + next(self._changing) + self._tail
        self._sent_at = time.perf_counter()
        self._transport.write(request)


def split_answer(buffer: bytes) -> tuple[int, bytes] | None:
    """Return status and body of a whole answer, or None while more is to come. Needs a Content-Length."""
    head, separator, body = buffer.partition(b"\r\n\r\n")
    if not separator:
        return None
    at = head.lower().find(LENGTH)
    if at < 0:
        raise ValueError(f"an answer without Content-Length: {head!r}")
    length = int(head[at + len(LENGTH) :].split(b"\r\n", 1)[0])
    return (int(head[9:12]), body) if len(body) >= length else None


class Client:
    """Run the built-in client: one process for one connection, else two."""

    name = "built-in client"

    def run(self, target: Target, *, connections: int, seconds: float) -> Load:
        """Run for `seconds` in processes of its own."""
        tallies = self._tallies(target, connections, seconds)
        latencies = sorted(latency for tally in tallies for latency in tally.latencies)
        return Load(
            requests=len(latencies),
            seconds=max(tally.seconds for tally in tallies),
            p50_ms=percentile(latencies, 0.50) * 1e3,
            p99_ms=percentile(latencies, 0.99) * 1e3,
            failures=sum(tally.failures for tally in tallies),
            cpu_s=sum(tally.cpu_s for tally in tallies),
            samples=tuple(sample for tally in tallies for sample in tally.samples)[:SAMPLES_MAX],
        )

    def sample_failures(self, target: Target, *, connections: int) -> tuple[str, ...]:
        """Run once more; every run keeps samples."""
        return self.run(target, connections=connections, seconds=SAMPLE_SECONDS).samples

    def _tallies(self, target: Target, connections: int, seconds: float) -> list[Tally]:
        shares = [1] if connections == 1 else [connections - connections // 2, connections // 2]
        # Spawned, not forked: the parent may hold threads and sockets that a child must not inherit.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(len(shares), mp_context=context) as pool:
            futures = [pool.submit(drive, target, share, seconds) for share in shares]
            return [future.result() for future in futures]


def drive(target: Target, connections: int, seconds: float) -> Tally:
    """Drive a share of the connections in this process."""
    started = time.process_time()
    tally = asyncio.run(_drive(target, connections, seconds))
    tally.cpu_s = time.process_time() - started
    return tally


async def _drive(target: Target, connections: int, seconds: float) -> Tally:
    tally = Tally()
    loop = asyncio.get_running_loop()
    changing = _changing(target)
    started = time.perf_counter()
    opened = [
        (await loop.create_connection(lambda: Connection(target.pieces(), changing, tally), target.host, target.port))[
            1
        ]
        for _ in range(connections)
    ]
    await asyncio.sleep(seconds - (time.perf_counter() - started))
    tally.seconds = time.perf_counter() - started
    for connection in opened:
        connection.stop()
    return tally


def _changing(target: Target) -> Iterator[bytes]:
    """Yield what stands between the two pieces of one request after the other."""
    if target.ids:
        return cycle([identifier.encode() for identifier in target.ids])
    if target.keyed:
        run = uuid.uuid4().hex[:12]
        return (f"{run}-{number}".encode() for number in count())
    return repeat(b"")


def percentile(ordered: list[float], share: float) -> float:
    """Return the nearest-rank percentile of an ordered list, 0 where it is empty."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
