"""The compressor measures what it does, keeps long work off the loop, and bounds what waits."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from actors.runtime.lag import LoopLag
from serve_app.compression.accept import read_field
from serve_app.compression.coding import CODINGS, Codec, Coding
from serve_app.compression.compressor import TIMER_MS, WAITING_MAX, Compressor
from serve_app.compression.counts import Encoded
from serve_app.compression.policy import BUSY_LAG_MS, Refusal
from tests.support.encoded import decode

_ALL = read_field(b"gzip, br, zstd")
_GZIP_1, _GZIP_6 = CODINGS[Codec.GZIP]
_TEXT = b'{"object":"payment","amount":1999,"currency":"USD"},' * 200
_LONG = _TEXT * 20


class _Threads:
    """A clock that notes whose it is; each look at it is 2 ms after the one before."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self._now = 0.0

    def __call__(self) -> float:
        self.seen.add(threading.get_ident())
        self._now += 0.002
        return self._now


def _compressor(lag_ms: float = 0.0, clock: Callable[[], float] | None = None) -> Compressor:
    return Compressor(lambda: LoopLag(lag_ms / 1000, 0.0, lag_ms / 1000), clock=clock or _Threads())


async def test_a_whole_body_is_encoded_and_counted() -> None:
    """By its route and codec, with its bytes and the time."""
    compressor = _compressor()
    for _ in range(2):
        body = await compressor.encode("/a", _GZIP_1, _TEXT)
        assert decode("gzip", body) == _TEXT
    counts = compressor.counts
    [(key, total)] = counts.encoded.items()
    assert key == ("/a", Codec.GZIP)
    assert (total.bodies, total.bytes_in, total.bytes_out) == (2, 2 * len(_TEXT), 2 * len(body))
    assert total.took_s == pytest.approx(0.004)


async def test_a_body_that_grows_saves_nothing() -> None:
    """It is not sent encoded, so its own bytes are those that were."""
    compressor = _compressor()
    noise = random.Random(1).randbytes(2_000)
    assert len(await compressor.encode("/a", _GZIP_6, noise)) > len(noise)
    assert compressor.counts.encoded["/a", Codec.GZIP].bytes_out == len(noise)


async def test_short_work_is_done_on_the_loop_and_long_work_is_not() -> None:
    """What takes long is learnt too: the second short body of 2 ms goes where the long one went."""
    clock = _Threads()
    compressor = _compressor(clock=clock)
    here = threading.get_ident()
    await compressor.encode("/a", _GZIP_1, _TEXT)
    assert clock.seen == {here}
    await compressor.encode("/b", _GZIP_1, _LONG)
    assert len(clock.seen - {here}) == 1
    for _ in range(20):
        await compressor.encode("/a", _GZIP_1, _TEXT)
    clock.seen.clear()
    await compressor.encode("/a", _GZIP_1, _TEXT)
    assert here not in clock.seen
    compressor.close()


async def test_what_waits_for_the_thread_is_bounded() -> None:
    """Further long bodies stay as they are until there is room; a request that is cancelled makes some."""
    compressor, begun, go_on = _compressor(), threading.Event(), threading.Event()

    def work(chunk: bytes) -> bytes:
        begun.set()
        assert go_on.wait(30)
        return chunk

    stream = compressor.stream("/b", _GZIP_6)
    tasks = [asyncio.create_task(compressor.encode_chunk(stream, work, _LONG)) for _ in range(WAITING_MAX)]
    await asyncio.to_thread(begun.wait, 30)
    size = 100_000_000
    try:
        assert compressor.decide("/b", size, _ALL) is Refusal.BUSY
        cancelled = tasks.pop()
        cancelled.cancel()
        await asyncio.wait([cancelled])
        assert isinstance(compressor.decide("/b", size, _ALL), Coding)
    finally:
        go_on.set()
    assert [chunk for chunk, _ in await asyncio.gather(*tasks)] == [_LONG] * (WAITING_MAX - 1)
    compressor.close()


@pytest.mark.parametrize(
    ("lag_ms", "busy"), [(TIMER_MS + BUSY_LAG_MS - 0.01, False), (TIMER_MS + BUSY_LAG_MS + 0.01, True)]
)
def test_a_late_loop_encodes_nothing(lag_ms: float, busy: bool) -> None:
    """What an idle one is late does not count; refusals are counted."""
    compressor = _compressor(lag_ms)
    decision = compressor.decide("/a", 10_000, _ALL)
    assert isinstance(decision, Coding) is not busy
    assert compressor.counts.refused == ({("/a", Refusal.BUSY): 1} if busy else {})


def test_small_bodies_are_not_counted() -> None:
    """Most of them never come to be decided on."""
    compressor = _compressor()
    assert compressor.decide("/a", 10, _ALL) is Refusal.SMALL
    assert compressor.counts.refused == {}


async def test_a_stream_is_one_body_with_all_its_bytes() -> None:
    """And the policy learns of its whole, once it has ended."""
    compressor = _compressor()
    stream = compressor.stream("/a", _GZIP_1)
    parts = [await stream.encode(chunk, last=False) for chunk in (_TEXT, b"", _TEXT)]
    assert parts[1] == b""
    parts.append(await stream.encode(b"end", last=True))
    assert decode("gzip", b"".join(parts)) == _TEXT + _TEXT + b"end"
    took_s: Any = pytest.approx(0.006)
    assert compressor.counts.encoded["/a", Codec.GZIP] == Encoded(1, 2 * len(_TEXT) + 3, sum(map(len, parts)), took_s)


async def test_an_empty_stream_ends_well() -> None:
    """There is nothing to learn of it."""
    compressor = _compressor()
    assert decode("gzip", await compressor.stream("/a", _GZIP_1).encode(b"", last=True)) == b""
    assert compressor.counts.encoded["/a", Codec.GZIP].bytes_in == 0
