"""Encodes the bodies of one process: asks the policy, uses the loop or a thread, measures, and counts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec

from actors.runtime.lag import LoopLag
from serve_app.compression.accept import Accepted
from serve_app.compression.coding import Coding
from serve_app.compression.counts import Counts, Encoded
from serve_app.compression.encoder import ChunkEncoder, Encoder, chunk_encoder
from serve_app.compression.policy import Policy, Refusal

TIMER_MS = 0.5
"""What an idle loop is late on average: timers have a resolution of a millisecond, and uvloop's read 0.3 ms here."""
STREAM_BYTES_EXPECTED = 16 * 1024
"""What a body is taken for that does not say how long it will be."""
WAITING_MAX = 4
"""Bodies that the thread has at once, each of more than half a millisecond; further ones go out as they are."""

_P = ParamSpec("_P")
_Measured = tuple[bytes, float]


class Compressor:
    """Encodes whole bodies and streams. Belongs to one event loop."""

    def __init__(self, lag: Callable[[], LoopLag], *, clock: Callable[[], float] = time.thread_time) -> None:
        # The thread's own time on a processor: by the clock on the wall, a body would seem dearer the more its machine
        # has to do, and be sent to the thread, which helps nobody then.
        self._lag = lag
        self._clock = clock
        self._policy = Policy()
        self._counts = Counts()
        self._encoder = Encoder()
        self._encoder_of_thread = Encoder()
        # One thread: a second could only take the processor from a loop.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="compression")
        self._in_thread = 0

    @property
    def counts(self) -> Counts:
        """What was encoded since the process started."""
        return self._counts

    def decide(self, route: str, size: int | None, accepted: Accepted) -> Coding | Refusal:
        """Return how to encode a body of a route, or why not to; `size` is None where nobody knows."""
        decision = self._policy.decide(
            route,
            STREAM_BYTES_EXPECTED if size is None else size,
            accepted,
            max(0.0, self._lag().steady_s * 1000 - TIMER_MS),
            thread_free=self._in_thread < WAITING_MAX,
        )
        # Small bodies are not counted: most of them never come here.
        if isinstance(decision, Refusal) and decision is not Refusal.SMALL:
            self._counts.refuse(route, decision)
        return decision

    async def encode(self, route: str, coding: Coding, body: bytes) -> bytes:
        """Return a whole body that is not empty, encoded; what comes back can be longer."""
        if self._policy.goes_to_thread(route, coding, len(body)):
            encoded, took_s = await self._off_loop(self._encoder_of_thread.encode, body, coding)
        else:
            encoded, took_s = self._timed(self._encoder.encode, body, coding)
        self._policy.observe(route, coding, len(body), len(encoded), took_s * 1000)
        # What did not become smaller is not sent encoded, and saved nothing.
        bytes_out = min(len(body), len(encoded))
        self._counts.add(route, coding.codec, Encoded(1, len(body), bytes_out, took_s))
        return encoded

    def stream(self, route: str, coding: Coding) -> BodyStream:
        """Return what encodes one body chunk by chunk."""
        return BodyStream(self, route, coding, chunk_encoder(coding))

    async def encode_chunk(self, stream: BodyStream, work: Callable[[bytes], bytes], chunk: bytes) -> _Measured:
        """Return what a stream has to send for a chunk, and the seconds that it took."""
        if self._policy.goes_to_thread(stream.route, stream.coding, len(chunk)):
            return await self._off_loop(work, chunk)
        return self._timed(work, chunk)

    def count(self, stream: BodyStream, change: Encoded) -> None:
        """Count what a stream sent."""
        self._counts.add(stream.route, stream.coding.codec, change)

    def learn(self, stream: BodyStream) -> None:
        """Learn from a stream that ended."""
        total = stream.total
        if total.bytes_in:
            self._policy.observe(stream.route, stream.coding, total.bytes_in, total.bytes_out, total.took_s * 1000)

    def close(self) -> None:
        """End the thread once it has nothing to do; bodies that wait for it are dropped."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _off_loop(self, work: Callable[_P, bytes], *args: _P.args, **kwargs: _P.kwargs) -> _Measured:
        # A request that is cancelled leaves the count at once, and its work the queue; only what runs already goes on.
        self._in_thread += 1
        try:
            timed = partial(self._timed, work, *args, **kwargs)
            return await asyncio.get_running_loop().run_in_executor(self._thread, timed)
        finally:
            self._in_thread -= 1

    def _timed(self, work: Callable[_P, bytes], *args: _P.args, **kwargs: _P.kwargs) -> _Measured:
        started = self._clock()
        return work(*args, **kwargs), self._clock() - started


class BodyStream:
    """One body, encoded chunk by chunk as it comes."""

    def __init__(self, compressor: Compressor, route: str, coding: Coding, encoder: ChunkEncoder) -> None:
        self.route = route
        self.coding = coding
        self.total = Encoded(bodies=1)
        self._compressor = compressor
        self._encoder = encoder
        self._bodies = 1

    async def encode(self, chunk: bytes, *, last: bool) -> bytes:
        """Return what to send for a chunk: with it, the receiver has all of the body so far."""
        if not chunk and not last:
            return b""
        work = self._encoder.finish if last else self._encoder.encode
        encoded, took_s = await self._compressor.encode_chunk(self, work, chunk)
        self.total.bytes_in += len(chunk)
        self.total.bytes_out += len(encoded)
        self.total.took_s += took_s
        self._compressor.count(self, Encoded(self._bodies, len(chunk), len(encoded), took_s))
        self._bodies = 0
        if last:
            self._compressor.learn(self)
        return encoded
