"""Uses of keys are counted in memory and written behind: at most once, and never in the way of a request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest

from actors.runtime.errors import OutcomeUnknown, Overloaded, Unavailable
from serve_app.caching.models import Model, key_id_of
from serve_app.merchants.usage import CLOSE_WITHIN_S, KeyUsage, decode_uses, encode_uses
from tests.unit.cache.virtual_time import run_virtually

KEY, OTHER = UUID(int=1), UUID(int=2)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
AWAY = Unavailable("shard", "is away", 1.0)


class Journal:
    """Takes what is recorded, or raises what it is told to, once each."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self.taken: list[tuple[UUID, int, datetime]] = []
        self.calls = 0
        self.hangs = False

    async def record(self, model: Model, name: str, payload: bytes) -> None:
        self.calls += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self._failures:
            raise self._failures.pop(0)
        self.taken.append((key_id_of(name), *decode_uses(payload)))


class Clock:
    """A time of day that a test sets."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> float:
        return self.at.timestamp()


def _usage(journal: Journal, now: Callable[[], float], **options: int) -> KeyUsage:
    return KeyUsage(journal, now=now, **options)


def test_what_is_noted_is_written_once_within_a_second() -> None:
    """By key, with the number of requests and the time of the last."""

    async def work() -> None:
        journal, clock = Journal(), Clock()
        usage = _usage(journal, clock)
        for _ in range(3):
            usage.note(KEY)
        clock.at = NOON.replace(minute=1)
        usage.note(OTHER)
        await asyncio.sleep(1.01)
        assert journal.taken == [(KEY, 3, NOON), (OTHER, 1, clock.at)]
        await asyncio.sleep(10)
        assert journal.calls == 2
        usage.note(KEY)
        await asyncio.sleep(1.01)
        assert journal.taken[2:] == [(KEY, 1, clock.at)]

    run_virtually(work())


@pytest.mark.parametrize("failure", [AWAY, Overloaded("journal", 1.0)])
def test_what_was_not_taken_goes_with_the_next(failure: Exception) -> None:
    """Merged with what was noted meanwhile, by itself where nothing was."""

    async def work() -> None:
        journal, clock = Journal(failure, failure), Clock()
        usage = _usage(journal, clock)
        usage.note(KEY)
        await asyncio.sleep(1.5)
        clock.at = NOON.replace(second=2)
        usage.note(KEY)
        await asyncio.sleep(2)
        assert journal.taken == [(KEY, 2, clock.at)]
        assert journal.calls == 3

    run_virtually(work())


def test_a_batch_of_unknown_outcome_is_not_counted_again() -> None:
    """The time of its last use is written again all the same."""

    async def work() -> None:
        journal, clock = Journal(OutcomeUnknown("record", "lost")), Clock()
        usage = _usage(journal, clock)
        usage.note(KEY)
        await asyncio.sleep(2.5)
        assert journal.taken == [(KEY, 0, NOON)]
        usage.note(KEY)
        await asyncio.sleep(1.5)
        assert journal.taken[1:] == [(KEY, 1, NOON)]

    run_virtually(work())


def test_a_defect_loses_its_own_batch_alone() -> None:
    """Later uses are written."""

    async def work() -> None:
        journal = Journal(ZeroDivisionError())
        usage = _usage(journal, Clock())
        usage.note(KEY)
        await asyncio.sleep(3)
        assert (journal.calls, journal.taken) == (1, [])
        usage.note(KEY)
        await asyncio.sleep(1.5)
        assert journal.taken == [(KEY, 1, NOON)]

    run_virtually(work())


def test_days_are_counted_apart_however_late_they_are_written() -> None:
    """A shard that is away over midnight moves no request to another day."""

    async def work() -> None:
        journal, clock = Journal(AWAY), Clock()
        usage = _usage(journal, clock)
        clock.at = late = NOON.replace(hour=23, minute=59, second=59)
        usage.note(KEY)
        await asyncio.sleep(1.5)
        clock.at = early = NOON.replace(day=2, hour=0)
        usage.note(KEY)
        await asyncio.sleep(2)
        assert sorted(journal.taken) == [(KEY, 1, late), (KEY, 1, early)]

    run_virtually(work())


def test_memory_is_bounded() -> None:
    """Of keys beyond it requests are not counted; a key that is known is."""

    async def work() -> None:
        journal = Journal(AWAY, AWAY)
        usage = _usage(journal, Clock(), keys_max=2)
        for number in (1, 2, 3, 3, 4, 1):
            usage.note(UUID(int=number))
        await asyncio.sleep(1.5)
        usage.note(UUID(int=5))
        await asyncio.sleep(2)
        assert sorted(journal.taken) == [(UUID(int=1), 2, NOON), (UUID(int=2), 1, NOON)]
        usage.note(UUID(int=5))
        await asyncio.sleep(1.5)
        assert journal.taken[2:] == [(UUID(int=5), 1, NOON)]

    run_virtually(work())


def test_the_last_uses_are_written_when_the_process_ends() -> None:
    """At once; where nobody takes them, the end waits no longer than it said."""

    async def work() -> None:
        journal = Journal()
        usage = _usage(journal, Clock())
        usage.note(KEY)
        await usage.close()
        assert journal.taken == [(KEY, 1, NOON)]
        hanging = Journal()
        hanging.hangs = True
        usage = _usage(hanging, Clock())
        usage.note(KEY)
        began = asyncio.get_running_loop().time()
        await usage.close()
        assert asyncio.get_running_loop().time() - began == pytest.approx(CLOSE_WITHIN_S)

    run_virtually(work())


@pytest.mark.parametrize("last_at", [0.0, 1.000001, NOON.timestamp() + 0.999999])
def test_uses_survive_their_encoding(last_at: float) -> None:
    """To the microsecond."""
    requests, moment = decode_uses(encode_uses(2**40, last_at))
    assert (requests, moment.timestamp()) == (2**40, last_at)


@pytest.mark.parametrize("payload", [b"", b"\x02" + encode_uses(1, 1.0)[1:], encode_uses(1, 1.0) + b"x"])
def test_a_form_of_another_version_is_refused(payload: bytes) -> None:
    """It stays in the journal for the code that knows it."""
    with pytest.raises(ValueError, match="another version"):
        decode_uses(payload)
