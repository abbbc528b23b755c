"""What a journal acknowledged reaches its sink, in order, through deaths on either side."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from actors.cache.level2.journal import GROUP_MAX, RECHECK_S, Entry, Journal, NotOwner
from actors.cache.level2.sealing import SealBroken, Sealer
from actors.runtime.errors import OutcomeUnknown, Overloaded, Unavailable
from tests.integration.cache_level2.conftest import OpenJournal, until
from tests.support.redis_servers import TestRedis, TestRedisCluster

_ROOT = Path(__file__).parents[3]


class Recorder:
    """A sink that keeps what it is given, and fails when it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[Entry]] = []
        self.failures = 0
        self.called = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, entries: Sequence[Entry]) -> None:
        """Take a batch."""
        self.called.set()
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the sink is away")
        self.batches.append(list(entries))

    @property
    def payloads(self) -> list[bytes]:
        """All that was taken."""
        return [entry.payload for batch in self.batches for entry in batch]


@asynccontextmanager
async def _running(journal: Journal, sink: Callable[[Sequence[Entry]], Awaitable[None]]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(journal.run(sink))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _is_empty(journal: Journal) -> bool:
    return await journal.depth() == 0


@pytest.fixture(params=["standalone", "cluster"])
def url(request: pytest.FixtureRequest) -> str:
    """Return the URL of each kind of server."""
    shared: TestRedis | TestRedisCluster = request.getfixturevalue(
        "shared_cluster" if request.param == "cluster" else "shared_server"
    )
    return shared.url


@pytest.fixture
async def journal(url: str, open_journal: OpenJournal) -> Journal:
    """Return an open journal on each kind of server."""
    journal = open_journal(url)
    await journal.open()
    return journal


async def test_entries_reach_the_sink_in_order_and_are_removed(journal: Journal) -> None:
    """What was appended before `run`, and what is appended meanwhile without delay."""
    sink = Recorder()
    first = await journal.append([("a", b"1"), ("b", b"2"), ("a", b"3")])
    async with _running(journal, sink):
        await until(lambda: len(sink.payloads) == 3)
        last = await journal.append([("a", b"4")])
        await until(lambda: len(sink.payloads) == 4, within_s=RECHECK_S * 0.9)
        await until(lambda: _is_empty(journal))
    entries = [entry for batch in sink.batches for entry in batch]
    assert [entry.id for entry in entries] == first + last
    assert [(entry.key, entry.payload) for entry in entries] == [("a", b"1"), ("b", b"2"), ("a", b"3"), ("a", b"4")]
    assert [entry.order for entry in entries] == sorted(entry.order for entry in entries)


async def test_batches_are_bounded(url: str, open_journal: OpenJournal) -> None:
    """A sink gets no more at once than was agreed."""
    journal, sink = open_journal(url, batch_max=4), Recorder()
    await journal.open()
    await journal.append([("key", str(number).encode()) for number in range(10)])
    async with _running(journal, sink):
        await until(lambda: _is_empty(journal))
    assert [len(batch) for batch in sink.batches] == [4, 4, 2]


async def test_appends_at_once_keep_the_order_of_their_calls(journal: Journal) -> None:
    """Also those that are larger than what one script appends."""
    sizes = [1, 5, GROUP_MAX, 3, 2, 1, 1, 1, 1, 1, 1, 50]
    groups = [[("key", f"{number}.{part}".encode()) for part in range(size)] for number, size in enumerate(sizes)]
    ids = await asyncio.gather(*(journal.append(group) for group in groups))
    long = await journal.append([("key", b"long")] * (GROUP_MAX * 2 + 1))
    flat = [identifier for group in [*ids, long] for identifier in group]
    assert flat == sorted(flat, key=lambda identifier: Entry(identifier, "", b"").order)
    assert len(set(flat)) == sum(sizes) + GROUP_MAX * 2 + 1
    assert await journal.append([]) == []


async def test_appends_are_not_reordered_by_a_server_that_stalled(server: TestRedis, open_journal: OpenJournal) -> None:
    """It would carry out what came over several connections in any order, so they go over one after the other."""
    journal = open_journal(server.url)
    await journal.open()
    await asyncio.gather(*(journal.depth() for _ in range(3)))
    for _ in range(5):
        server.pause()
        try:
            appends = [asyncio.ensure_future(journal.append([("key", b"value")])) for _ in range(40)]
            await asyncio.sleep(0.02)
        finally:
            server.resume()
        ids = [Entry(identifier, "", b"").order for [identifier] in await asyncio.gather(*appends)]
        assert ids == sorted(ids)


async def test_a_sink_that_fails_gets_the_same_batch_again(journal: Journal) -> None:
    """Nothing is removed or overtaken meanwhile, and why it does not get on is told."""
    sink = Recorder()
    sink.failures = 3
    await journal.append([("key", b"1"), ("key", b"2")])
    async with _running(journal, sink):
        await until(lambda: journal.last_failure is not None)
        assert str(journal.last_failure) == "the sink is away"
        await journal.append([("key", b"3")])
        await until(lambda: _is_empty(journal))
        assert journal.last_failure is None
    assert sink.payloads == [b"1", b"2", b"3"]


async def test_nothing_is_removed_before_the_sink_returned(
    journal: Journal, open_journal: OpenJournal, url: str
) -> None:
    """Who is cancelled in the midst of a batch leaves all of it to the next."""
    sink, again = Recorder(), Recorder()
    sink.gate.clear()
    await journal.append([("key", b"1"), ("key", b"2")])
    async with _running(journal, sink):
        await sink.called.wait()
        assert await journal.depth() == 2
    successor = open_journal(url)
    await successor.open()
    async with _running(successor, again):
        await until(lambda: _is_empty(successor))
    assert again.payloads == [b"1", b"2"]


async def test_too_many_unapplied_entries_are_refused(url: str, open_journal: OpenJournal) -> None:
    """Whole appends, none in part, and those behind a refused one as well; once some are applied there is room."""
    journal, sink = open_journal(url, unapplied_max=5), Recorder()
    await journal.open()
    await journal.append([("key", b"1")] * 3)
    outcomes = await asyncio.gather(
        *(journal.append([("key", b"x")] * size) for size in (1, 2, 1)), return_exceptions=True
    )
    assert [isinstance(outcome, Overloaded) for outcome in outcomes] == [False, True, True]
    assert await journal.depth() == 4
    async with _running(journal, sink):
        await until(lambda: _is_empty(journal))
    assert len(await journal.append([("key", b"2")] * 5)) == 5


async def test_a_new_owner_fences_the_old_one(journal: Journal, open_journal: OpenJournal, url: str) -> None:
    """The old one neither appends nor reads nor removes any more, and takes it back only by opening it."""
    old_sink, new_sink = Recorder(), Recorder()
    old_sink.gate.clear()
    await journal.append([("key", b"1")])
    old_run = asyncio.ensure_future(journal.run(old_sink))
    await old_sink.called.wait()
    successor = open_journal(url)
    await successor.open()
    with pytest.raises(NotOwner):
        await journal.append([("key", b"late")])
    old_sink.gate.set()
    with pytest.raises(NotOwner):
        await old_run
    assert await successor.depth() == 1
    with pytest.raises(NotOwner):
        await journal.run(old_sink)
    async with _running(successor, new_sink):
        await until(lambda: _is_empty(successor))
    assert new_sink.payloads == old_sink.payloads == [b"1"]
    await journal.open()
    with pytest.raises(NotOwner):
        await successor.append([("key", b"late")])


async def test_who_never_opened_it_does_not_own_it(url: str, open_journal: OpenJournal) -> None:
    """Nor does anybody in a Redis that lost everything."""
    journal = open_journal(url)
    with pytest.raises(NotOwner):
        await journal.append([("key", b"1")])
    with pytest.raises(NotOwner):
        await journal.run(Recorder())


async def test_an_entry_that_does_not_open_stops_the_run(url: str, open_journal: OpenJournal) -> None:
    """Nothing is removed: with the right key all of it is still there."""
    journal, other, sink = open_journal(url), open_journal(url, Sealer(b"x" * 32)), Recorder()
    await journal.open()
    await journal.append([("key", b"1")])
    await other.open()
    with pytest.raises(SealBroken):
        await other.run(sink)
    await journal.open()
    async with _running(journal, sink):
        await until(lambda: _is_empty(journal))
    assert sink.payloads == [b"1"]


async def test_redis_sees_no_payload(shared_server: TestRedis, open_journal: OpenJournal) -> None:
    """It is sealed."""
    journal = open_journal(shared_server.url, name="sealed")
    await journal.open()
    await journal.append([("key", b"4111111111111111")])
    assert b"4111" not in shared_server.ask("DUMP", "{sealed}:entries")


async def test_a_run_outlives_a_redis_that_is_away(server: TestRedis, open_journal: OpenJournal) -> None:
    """It goes on by itself with what Redis kept; appends meanwhile say that they were not done, or may have been."""
    journal, sink = open_journal(server.url), Recorder()
    await journal.open()
    sink.gate.clear()
    await journal.append([("key", b"1"), ("key", b"2")])
    async with _running(journal, sink):
        await sink.called.wait()
        await asyncio.to_thread(server.stop)  # It saves.
        sink.gate.set()
        with pytest.raises((Unavailable, OutcomeUnknown)):
            await journal.append([("key", b"lost")])
        await until(lambda: journal.last_failure is not None)
        await asyncio.to_thread(server.start)
        await until(lambda: journal.last_failure is None)
        await journal.append([("key", b"3")])
        await until(lambda: _is_empty(journal))
    assert sink.payloads == [b"1", b"2", b"3"]


async def test_an_entry_that_was_not_announced_is_found(url: str, open_journal: OpenJournal) -> None:
    """As is one whose append was given up and done late: the run looks again though nobody appends any more."""
    journal, sink = open_journal(url), Recorder()
    await journal.open()
    unannounced = open_journal(url)
    unannounced._token = journal._token
    async with _running(journal, sink):
        await journal.append([("key", b"1")])
        await until(lambda: _is_empty(journal))
        await unannounced.append([("key", b"2")])
        await until(lambda: sink.payloads == [b"1", b"2"], within_s=RECHECK_S * 3)


async def test_an_append_to_a_server_that_froze_may_have_been_done(
    server: TestRedis, open_journal: OpenJournal
) -> None:
    """Its caller is told so, and what was appended reaches the sink."""
    journal, sink = open_journal(server.url, deadline_s=0.2), Recorder()
    await journal.open()
    async with _running(journal, sink):
        await journal.append([("key", b"1")])
        await until(lambda: _is_empty(journal))
        server.pause()
        try:
            with pytest.raises(OutcomeUnknown):
                await journal.append([("key", b"2")])
        finally:
            server.resume()
        await until(lambda: sink.payloads == [b"1", b"2"])


async def test_a_closed_journal_refuses_appends(journal: Journal) -> None:
    """Those under way have ended."""
    under_way = asyncio.ensure_future(journal.append([("key", b"1")]))
    await asyncio.sleep(0)
    await journal.close()
    assert len(await under_way) == 1
    with pytest.raises(Unavailable):
        await journal.append([("key", b"2")])


def _live_and_die(url: str, applied: Path, life: int, draw: random.Random) -> list[list[str]]:
    """Run a child, kill it at a random moment after its first acknowledgement, and return what it acknowledged."""
    child = Path(__file__).parent / "journal_child.py"
    process = subprocess.Popen(
        [sys.executable, str(child), url, "killed", str(applied), str(life)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
    )
    assert process.stdout is not None
    with process:
        first = process.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=draw.uniform(0.0, 0.15))
        process.kill()
        return [json.loads(line) for line in (first + process.stdout.read()).splitlines()]


@pytest.mark.slow
@pytest.mark.chaos
async def test_nothing_acknowledged_is_lost_when_its_process_is_killed(
    shared_server: TestRedis, open_journal: OpenJournal, tmp_path: Path
) -> None:
    """Twenty times at random: all of it reaches a sink, each time in the order of its ids."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    draw, applied = random.Random(seed), tmp_path / "applied"
    acknowledged: list[list[str]] = []
    for life in range(20):
        acknowledged += await asyncio.to_thread(_live_and_die, shared_server.url, applied, life, draw)

    survivor, sink = open_journal(shared_server.url, name="killed"), Recorder()
    await survivor.open()
    async with _running(survivor, sink):
        await until(lambda: _is_empty(survivor))
    given = [json.loads(line) for line in applied.read_text().splitlines()]
    given += [[entry.id, entry.key, entry.payload.decode()] for batch in sink.batches for entry in batch]

    assert len(acknowledged) > 100
    assert {tuple(record) for record in acknowledged} <= {tuple(record) for record in given}
    _assert_in_order(given)
    times = Counter(identifier for identifier, _, _ in given)
    # A batch may be given again by each of its lives, a record of it not by one alone.
    assert max(times.values()) <= 20
    print(f"{len(acknowledged)} acknowledged, {len(times)} applied, {len(given) - len(times)} of them again")


def _assert_in_order(given: list[list[str]]) -> None:
    """For each key an entry comes for the first time after all that are older, and appends are not mixed up."""
    seen: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for identifier, key, payload in given:
        order = Entry(identifier, key, payload.encode()).order
        known = seen[key]
        if order not in known:
            assert not known or known[-1] < order
            known.append(order)
