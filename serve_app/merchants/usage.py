"""When each API key was last used and how often: noted in memory, and written behind about once a second."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Protocol
from uuid import UUID

import structlog

from actors.pool.connector import Connection
from actors.runtime.errors import ActorError, OutcomeUnknown
from serve_app.caching.models import KEY_USAGE, Model, key_id_of, key_usage_name
from serve_app.caching.sink import Write
from serve_app.incident import describe
from serve_app.storage.statements import load_statements

FLUSH_EVERY_S = 1.0
KEYS_MAX = 10_000
CLOSE_WITHIN_S = 5.0
"""More than a shard may take to answer, so that the last uses of a replica that stops are not given up early."""
_VERSION = 1
_PAYLOAD = struct.Struct(">BQQ")
"""The version of this form, the requests, and the last use in microseconds since 1970."""

_logger = structlog.get_logger(__name__)


class Recorder(Protocol):
    """What takes the writes: ``Records``, which says what it raises."""

    async def record(self, model: Model, name: str, payload: bytes) -> None:
        """Have a write applied."""
        ...


class _Uses:
    """The requests of a key since they were last written, and the time of the last one, in seconds since 1970."""

    __slots__ = ("last_at", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.last_at = 0.0


class KeyUsage:
    """The uses of API keys that this process sees. Requests neither wait for it nor fail by it.

    A request is counted at most once. It is not counted where the process is killed before its uses are written (a
    second at most, while all is well), where the outcome of their batch is unknown and it was not taken, where more
    than ``keys_max`` keys wait for a shard that is away, and where Redis loses them from the journal. The time of a
    last use whose batch is of unknown outcome is written again, for that does no harm. What cannot be written now
    waits, by day, and goes with the next batch. Bound to one loop.
    """

    def __init__(
        self,
        records: Recorder,
        *,
        flush_every_s: float = FLUSH_EVERY_S,
        keys_max: int = KEYS_MAX,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._records = records
        self._flush_every_s = flush_every_s
        self._keys_max = keys_max
        self._now = now
        self._fresh: dict[UUID, _Uses] = {}
        self._waiting: dict[tuple[UUID, date], _Uses] = {}
        self._uncounted = _Uses()
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._failure = ""

    def note(self, key_id: UUID) -> None:
        """Note one request. Costs well under a microsecond."""
        uses = self._fresh.get(key_id)
        if uses is None:
            uses = self._begin(key_id)
        uses.requests += 1
        uses.last_at = self._now()

    async def flush(self) -> None:
        """Write what was noted; what could not be written waits for the next time."""
        self._gather()
        waiting, self._waiting = self._waiting, {}
        failures = await asyncio.gather(*(self._write(key_id, day, uses) for (key_id, day), uses in waiting.items()))
        self._tell(next((failure for failure in failures if failure), ""))

    async def close(self) -> None:
        """Write what was noted, if that can be done within ``CLOSE_WITHIN_S``. No more is noted."""
        try:
            async with asyncio.timeout(CLOSE_WITHIN_S):
                if self._flushing is not None:
                    await asyncio.shield(self._flushing)
                await self.flush()
        except TimeoutError:
            self._tell("the process ends before they were written")
        finally:
            for pending in (self._timer, self._flushing):
                if pending is not None:
                    pending.cancel()

    def _begin(self, key_id: UUID) -> _Uses:
        if len(self._fresh) + len(self._waiting) >= self._keys_max:
            return self._uncounted
        uses = self._fresh[key_id] = _Uses()
        self._arm()
        return uses

    def _arm(self) -> None:
        if self._timer is None and self._flushing is None:
            self._timer = asyncio.get_running_loop().call_later(self._flush_every_s, self._start_flush)

    def _start_flush(self) -> None:
        self._timer = None
        self._flushing = asyncio.get_running_loop().create_task(self.flush())
        self._flushing.add_done_callback(self._flushed)

    def _flushed(self, task: asyncio.Task[None]) -> None:
        self._flushing = None
        if not task.cancelled():
            task.result()
            if self._fresh or self._waiting:
                self._arm()

    def _gather(self) -> None:
        """Set what was noted aside, under the day of each key's last use."""
        fresh, self._fresh = self._fresh, {}
        for key_id, uses in fresh.items():
            self._keep(key_id, datetime.fromtimestamp(uses.last_at, UTC).date(), uses)
        if self._uncounted.requests:
            _logger.warning("requests of more keys than can be remembered", count=self._uncounted.requests)
            self._uncounted = _Uses()

    def _keep(self, key_id: UUID, day: date, uses: _Uses) -> None:
        known = self._waiting.setdefault((key_id, day), uses)
        if known is not uses:
            known.requests += uses.requests
            known.last_at = max(known.last_at, uses.last_at)

    async def _write(self, key_id: UUID, day: date, uses: _Uses) -> str:
        """Write the uses of one key and day; return why they still wait, empty where they do not."""
        try:
            await self._records.record(KEY_USAGE, key_usage_name(key_id), encode_uses(uses.requests, uses.last_at))
        except OutcomeUnknown as unknown:
            # They may have been counted, and never twice is worth more than never missed.
            uses.requests = 0
            self._keep(key_id, day, uses)
            return str(unknown)
        except ActorError as away:
            self._keep(key_id, day, uses)
            return str(away)
        except Exception as defect:
            # It would fail again. Later uses are counted all the same.
            _logger.error("uses of an API key are lost", **describe(defect))
        return ""

    def _tell(self, failure: str) -> None:
        """Log why uses wait, once for each reason."""
        if failure and failure != self._failure:
            _logger.warning("uses of API keys are not written at the moment", reason=failure, keys=len(self._waiting))
        self._failure = failure


def encode_uses(requests: int, last_at: float) -> bytes:
    """Return the payload of one key's uses; ``last_at`` is in seconds since 1970."""
    return _PAYLOAD.pack(_VERSION, requests, round(last_at * 1_000_000))


def decode_uses(payload: bytes) -> tuple[int, datetime]:
    """Return the requests and the time of the last one; raises ValueError for a form that this code does not know."""
    if len(payload) != _PAYLOAD.size or payload[0] != _VERSION:
        raise ValueError("the uses of a key are written in a form of another version")
    _, requests, microseconds = _PAYLOAD.unpack(payload)
    seconds, rest = divmod(microseconds, 1_000_000)
    return requests, datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest)


async def apply_key_usage(connection: Connection, writes: Sequence[Write]) -> None:
    """Add uses to their keys, in the transaction that is open. Keys that are gone are passed over."""
    decoded = [decode_uses(payload) for _, payload in writes]
    await connection.execute(
        load_statements("serve_app.merchants")["apply_key_usage"],
        [key_id_of(name) for name, _ in writes],
        [requests for requests, _ in decoded],
        [last_used_at for _, last_used_at in decoded],
    )
