"""Uses of keys on their way through a real Redis into a real PostgreSQL: each is counted once."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from actors.cache.level2.journal import Entry, Journal, NotOwner
from actors.cache.write_behind import WriteBehind
from actors.pool.connector import Connection
from actors.pool.database import Database
from serve_app.caching.models import key_usage_name
from serve_app.caching.sink import StoredSink, Write
from serve_app.domain.ids import Prefix, parse_id
from serve_app.merchants.administration import create_key, list_keys
from serve_app.merchants.usage import apply_key_usage, encode_uses
from serve_app.write_behind import APPLIERS
from tests.integration.cache_level2.conftest import OpenJournal, until
from tests.support.gateway_services import PEPPER, gateway_services
from tests.support.postgres import APP_ROLE, TestPostgres
from tests.support.redis_servers import TestRedis

NOW = datetime.now(UTC).replace(microsecond=0)
_names = itertools.count(1)

MakeSink = Callable[..., StoredSink]


@pytest.fixture
async def key_id(postgres: TestPostgres) -> UUID:
    """Make a key and return its id."""
    return await _new_key(postgres)


async def _new_key(postgres: TestPostgres) -> UUID:
    issued = await create_key(postgres.url(), PEPPER, merchant=f"Used {next(_names)}", scopes=["audit"])
    found = parse_id(Prefix.API_KEY, issued.id)
    assert found is not None
    return found


@pytest.fixture
async def make_sink(postgres: TestPostgres) -> AsyncIterator[MakeSink]:
    """Return a way to make sinks of one journal in the gateway's role, closed at the end."""
    sinks: list[StoredSink] = []
    name = f"journal-{next(_names)}"

    def made(**appliers: Callable[[Connection, Sequence[Write]], Awaitable[None]]) -> StoredSink:
        open_database = functools.partial(
            Database.open, postgres.url(APP_ROLE), name="tests", manager=None, want=1, command_timeout_s=5.0
        )
        sinks.append(StoredSink(open_database, name, {**APPLIERS, **appliers}))
        return sinks[-1]

    yield made
    for sink in sinks:
        await sink.close()


async def _usage(postgres: TestPostgres, key_id: UUID) -> tuple[dict[date, int], datetime | None]:
    connection = await asyncpg.connect(postgres.url())
    rows = await connection.fetch("SELECT day, requests FROM api_key_usage WHERE key_id = $1", key_id)
    last_used_at = await connection.fetchval("SELECT last_used_at FROM api_keys WHERE id = $1", key_id)
    await connection.close()
    return {row["day"]: row["requests"] for row in rows}, last_used_at


def _entry(number: int, key_id: UUID, requests: int, at: datetime = NOW) -> Entry:
    return Entry(f"{number}-0", key_usage_name(key_id), encode_uses(requests, at.timestamp()))


@asynccontextmanager
async def _running(journal: Journal, sink: StoredSink, owner: int) -> AsyncIterator[WriteBehind]:
    behind = WriteBehind("shard", journal, sink, owner=owner)
    running = asyncio.ensure_future(behind.run())
    try:
        yield behind
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _is_drained(behind: WriteBehind) -> bool:
    state = await behind.state()
    return state.unapplied == 0 and not state.fault


async def _recorded(behind: WriteBehind, key_id: UUID, requests: int) -> None:
    await until(lambda: _is_open(behind))
    await behind.record([(key_usage_name(key_id), encode_uses(requests, NOW.timestamp()))])


async def _is_open(behind: WriteBehind) -> bool:
    return not (await behind.state()).fault


async def test_a_batch_that_is_given_again_counts_once(
    make_sink: MakeSink, postgres: TestPostgres, key_id: UUID
) -> None:
    """As a whole, and where only its beginning was applied before."""
    sink = make_sink()
    assert await sink.take(1) == (0, 0)
    batch = [_entry(number, key_id, 1) for number in range(1, 4)]
    for entries in (batch, batch, [*batch, _entry(4, key_id, 10)], batch[:2]):
        await sink.apply(entries)
    assert await _usage(postgres, key_id) == ({NOW.date(): 13}, NOW)
    assert await sink.take(1) == (4, 0)


async def test_uses_of_a_batch_are_added_by_key_and_day(
    make_sink: MakeSink, postgres: TestPostgres, key_id: UUID
) -> None:
    """The last use is the latest, in whatever order they come; a use that counts nothing still is one; keys that are
    gone are passed over."""
    sink, other = make_sink(), await _new_key(postgres)
    await sink.take(1)
    before = NOW - timedelta(days=40)
    await sink.apply(
        [
            _entry(1, key_id, 3, NOW),
            _entry(2, key_id, 5, before),
            _entry(3, other, 0, before),
            _entry(4, UUID(int=1), 9),
            _entry(5, key_id, 4, NOW - timedelta(microseconds=1)),
        ]
    )
    usage, last_used_at = await _usage(postgres, key_id)
    assert sum(usage.values()) == 12
    assert usage[before.date()] == 5
    assert last_used_at == NOW
    assert await _usage(postgres, other) == ({}, before)
    shown = {parse_id(Prefix.API_KEY, key.id): key for key in await list_keys(postgres.url())}
    assert (shown[key_id].requests_30_days, shown[key_id].last_used_at) == (7, NOW)
    assert (shown[other].requests_30_days, shown[other].last_used_at) == (0, before)


async def test_what_was_applied_and_not_removed_is_not_counted_again(
    make_sink: MakeSink, postgres: TestPostgres, key_id: UUID, shared_server: TestRedis, open_journal: OpenJournal
) -> None:
    """A shard that dies between the two leaves the entries to the next, which finds that they were applied."""
    sink, journal = make_sink(), open_journal(shared_server.url)
    await journal.open(await sink.take(1))
    await journal.append([(key_usage_name(key_id), encode_uses(2, NOW.timestamp()))] * 5)
    await sink.apply(await journal._read())  # And dies here.
    async with _running(open_journal(shared_server.url), make_sink(), 2) as behind:
        await _recorded(behind, key_id, 1)
        await until(lambda: _is_drained(behind))
    assert (await _usage(postgres, key_id))[0] == {NOW.date(): 11}


async def test_a_transaction_that_fails_half_way_leaves_nothing(
    make_sink: MakeSink, postgres: TestPostgres, key_id: UUID, shared_server: TestRedis, open_journal: OpenJournal
) -> None:
    """Neither counts nor the position: the batch is applied as a whole later."""
    failures = iter([RuntimeError("after the first half")] * 3)

    async def apply_and_fail(connection: Connection, writes: Sequence[Write]) -> None:
        await apply_key_usage(connection, writes)
        for failure in failures:
            raise failure

    sink = make_sink(api_key_usage=apply_and_fail)
    async with _running(open_journal(shared_server.url), sink, 1) as behind:
        await _recorded(behind, key_id, 7)
        await until(lambda: _is_drained(behind))
    assert next(failures, None) is None
    assert (await _usage(postgres, key_id))[0] == {NOW.date(): 7}


async def test_an_owner_of_before_counts_nothing_twice(
    make_sink: MakeSink, postgres: TestPostgres, key_id: UUID
) -> None:
    """It gives way when it asks, and what it still holds was applied, or will have been when the next one comes to it,
    whichever is first."""
    old, new = make_sink(), make_sink()
    await old.take(1)
    await new.take(2)
    with pytest.raises(NotOwner):
        await old.take(1)
    batch = [_entry(number, key_id, 1) for number in range(1, 30)]
    await asyncio.gather(*(sink.apply(batch[: 10 * size]) for size in (1, 2, 3) for sink in (old, new)))
    assert (await _usage(postgres, key_id))[0] == {NOW.date(): 29}


async def test_entries_of_a_model_that_is_not_known_wait(
    make_sink: MakeSink, postgres: TestPostgres, key_id: UUID, shared_server: TestRedis, open_journal: OpenJournal
) -> None:
    """For the version of the code that knows it; nothing behind them is applied before."""

    async def apply_nothing(_connection: Connection, _writes: Sequence[Write]) -> None:
        """Know it."""

    async with _running(open_journal(shared_server.url), make_sink(), 1) as behind:
        await until(lambda: _is_open(behind))
        await behind.record([("newer:1", b"")])
        await behind.record([(key_usage_name(key_id), encode_uses(1, NOW.timestamp()))])
        await until(lambda: _has_fault(behind, "KeyError"))
        assert (await behind.state()).unapplied == 2
    async with _running(open_journal(shared_server.url), make_sink(newer=apply_nothing), 2) as behind:
        await until(lambda: _is_drained(behind))
    assert (await _usage(postgres, key_id))[0] == {NOW.date(): 1}


async def _has_fault(behind: WriteBehind, words: str) -> bool:
    return words in (await behind.state()).fault


async def test_the_sink_outlives_postgresql(
    own_postgres: TestPostgres, shared_server: TestRedis, open_journal: OpenJournal
) -> None:
    """What is recorded while it is away is applied when it is back; a shard that starts meanwhile waits for it."""
    key_id = await _new_key(own_postgres)
    open_database = functools.partial(
        Database.open, own_postgres.url(APP_ROLE), name="tests", manager=None, want=1, command_timeout_s=5.0
    )
    sink = StoredSink(open_database, "outlives", APPLIERS)
    async with _running(open_journal(shared_server.url), sink, 1) as behind:
        await _recorded(behind, key_id, 1)
        await until(lambda: _is_drained(behind))
        await asyncio.to_thread(own_postgres.stop)
        await behind.record([(key_usage_name(key_id), encode_uses(2, NOW.timestamp()))])
        await until(lambda: _has_fault(behind, "not applied"))
        await behind.record([(key_usage_name(key_id), encode_uses(4, NOW.timestamp()))])
    async with _running(open_journal(shared_server.url), sink, 2) as behind:
        await until(lambda: _has_fault(behind, "database"))
        await asyncio.to_thread(own_postgres.start)
        await until(lambda: _is_drained(behind), within_s=20)
    await sink.close()
    assert (await _usage(own_postgres, key_id))[0] == {NOW.date(): 7}


async def test_without_a_journal_uses_go_straight_to_the_database(postgres: TestPostgres) -> None:
    """Also the last ones of a process that ends."""
    issued = await create_key(postgres.url(), PEPPER, merchant=f"Used {next(_names)}", scopes=["audit"])
    key_id = parse_id(Prefix.API_KEY, issued.id)
    assert key_id is not None
    async with gateway_services(postgres.url(APP_ROLE)) as services:
        caller = await services.authenticator.authenticate(issued.api_key)
        assert caller is not None
        for _ in range(5):
            services.authenticator.used(caller)
        await services.key_usage.flush()
        assert sum((await _usage(postgres, key_id))[0].values()) == 5
        services.authenticator.used(caller)
    assert sum((await _usage(postgres, key_id))[0].values()) == 6
