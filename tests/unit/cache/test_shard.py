"""A shard by itself: what it stores, what it refuses, and whom it lets wait."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable

import pytest

from actors.cache.coherence.sessions import UPDATE_WITHIN_S
from actors.cache.messages import (
    Answer,
    Begin,
    Bypass,
    End,
    Fill,
    GiveUp,
    Hit,
    Load,
    NoSession,
    Notices,
    Publication,
    Wait,
    Want,
)
from actors.cache.shard import LEASE_S, LOAD_TIMEOUT_S, CacheShard
from tests.unit.cache.virtual_time import run_virtually

KEY = "payment:1"
TAG = "merchant:1"

Story = Callable[[CacheShard, int], Awaitable[None]]


def _play(story: Story, *, bound_bytes: int = 1_000_000) -> None:
    """Tell a story with a shard that is ready, and the session of a process that listens all the time."""

    async def play() -> None:
        loop = asyncio.get_running_loop()
        shard = CacheShard(bound_bytes, clock=loop.time, incarnation=1, draw=random.Random(1))
        await asyncio.sleep(LEASE_S)
        session = shard.open_session("reader").session
        listening = loop.create_task(_listen(shard, session))
        await story(shard, session)
        listening.cancel()

    run_virtually(play())


async def _listen(shard: CacheShard, session: int) -> None:
    acknowledged = 0
    while True:
        acknowledged = (await shard.listen(session, acknowledged, (), None)).sequence


def _read(shard: CacheShard, session: int, key: str = KEY, tag: str | None = None, *, hold: bool = False) -> Answer:
    return shard.read(session, [Want(key, tag, hold)])[0]


def _load(
    shard: CacheShard, session: int, value: bytes | None, version: int = 1, key: str = KEY, tag: str | None = None
) -> None:
    answer = _read(shard, session, key, tag)
    assert isinstance(answer, Load)
    shard.tell(session, [Fill(key, answer.token, value, version, 30.0)])


def _value(answer: Answer) -> bytes | None:
    assert isinstance(answer, Hit)
    return answer.value


def test_what_was_filled_is_a_hit() -> None:
    """With its version, and a time to live that is up to a tenth shorter than was asked for."""

    async def story(shard: CacheShard, session: int) -> None:
        _load(shard, session, b"value", version=3)
        answer = _read(shard, session)
        assert isinstance(answer, Hit)
        assert (answer.value, answer.version) == (b"value", 3)
        assert 27.0 <= answer.ttl_s <= 30.0

    _play(story)


def test_absence_is_remembered() -> None:
    """A thing that is not there is a hit without a value."""

    async def story(shard: CacheShard, session: int) -> None:
        _load(shard, session, None, version=0)
        assert _value(_read(shard, session)) is None

    _play(story)


def test_a_value_expires() -> None:
    """After its time to live it is loaded again."""

    async def story(shard: CacheShard, session: int) -> None:
        _load(shard, session, b"value")
        await asyncio.sleep(30)
        assert isinstance(_read(shard, session), Load)

    _play(story)


def test_one_of_many_readers_refreshes_ahead_of_expiry() -> None:
    """Near the end somebody is asked to load, the others are served, and nobody ever finds nothing."""

    async def story(shard: CacheShard, session: int) -> None:
        answer = _read(shard, session)
        assert isinstance(answer, Load)
        await asyncio.sleep(1)  # A load of a second: refreshing begins some seconds before the end.
        shard.tell(session, [Fill(KEY, answer.token, b"value", 1, 30.0)])
        refreshes = 0
        for _ in range(400):
            await asyncio.sleep(0.1)
            hit = _read(shard, session)
            assert isinstance(hit, Hit)
            if hit.refresh:
                refreshes += 1
                assert all(_refresh(_read(shard, session)) == 0 for _ in range(50))
                shard.tell(session, [Fill(KEY, hit.refresh, b"value", 1, 30.0)])
        assert 1 <= refreshes <= 5

    _play(story)


def _refresh(answer: Answer) -> int:
    assert isinstance(answer, Hit)
    return answer.refresh


def test_others_wait_for_a_load() -> None:
    """And get what it finds."""

    async def story(shard: CacheShard, session: int) -> None:
        load = _read(shard, session)
        assert isinstance(load, Load)
        waits = _read(shard, session)
        assert isinstance(waits, Wait)
        waiting = asyncio.ensure_future(shard.wait(session, Want(KEY, None, False), waits.token))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        shard.tell(session, [Fill(KEY, load.token, b"value", 1, 30.0)])
        assert _value(await waiting) == b"value"

    _play(story)


@pytest.mark.parametrize("says_so", [True, False])
def test_a_load_that_fails_is_handed_over(says_so: bool) -> None:
    """Whether the loader says that it gave up, or is silent for too long."""

    async def story(shard: CacheShard, session: int) -> None:
        load = _read(shard, session)
        assert isinstance(load, Load)
        waiting = asyncio.ensure_future(shard.wait(session, Want(KEY, None, False), load.token))
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(0)
        if says_so:
            shard.tell(session, [GiveUp(KEY, load.token)])
        assert isinstance(await waiting, Load)
        took = asyncio.get_running_loop().time() - began
        assert took == pytest.approx(0.0 if says_so else LOAD_TIMEOUT_S, abs=0.01)

    _play(story)


def test_a_fill_that_a_transition_called_off_is_dropped() -> None:
    """What was loaded before a change is not kept after it."""

    async def story(shard: CacheShard, session: int) -> None:
        load = _read(shard, session)
        assert isinstance(load, Load)
        assert shard.begin(session, [Begin(1, (KEY,), ())])[0].sequence > 0
        shard.tell(session, [End(1, (), True), Fill(KEY, load.token, b"old", 1, 30.0)])
        assert isinstance(_read(shard, session), Load)

    _play(story)


def test_an_older_version_never_replaces_a_newer_one() -> None:
    """Such as a load from a lagging replica, long after the change."""

    async def story(shard: CacheShard, session: int) -> None:
        shard.begin(session, [Begin(1, (KEY,), ())])
        shard.tell(session, [End(1, (Publication(KEY, 5, b"new", 30.0),), True)])
        assert _value(_read(shard, session)) == b"new"
        await shard.invalidate([KEY], (), ())
        _load(shard, session, b"old", version=4)
        assert isinstance(_read(shard, session), Load)
        assert shard.snapshot().state.outdated_fills == 1

    _play(story)


def test_a_key_that_changes_is_bypassed_until_the_last_writer_has_ended() -> None:
    """Then the newest state that any of them published holds."""

    async def story(shard: CacheShard, session: int) -> None:
        shard.begin(session, [Begin(1, (KEY,), ()), Begin(2, (KEY,), ())])
        assert _read(shard, session) == Bypass("changing")
        shard.tell(session, [End(2, (Publication(KEY, 3, b"three", 30.0),), True)])
        assert _read(shard, session) == Bypass("changing")
        shard.tell(session, [End(1, (Publication(KEY, 2, b"two", 30.0),), True)])
        assert _value(_read(shard, session)) == b"three"

    _play(story)


@pytest.mark.parametrize("ending", [End(2, (), False), End(2, (Publication(KEY, 0, None, 0.0),), True)])
def test_nothing_is_believed_where_one_writer_does_not_know(ending: End) -> None:
    """What the others published may be out of date."""

    async def story(shard: CacheShard, session: int) -> None:
        shard.begin(session, [Begin(1, (KEY,), ()), Begin(2, (KEY,), ())])
        shard.tell(session, [End(1, (Publication(KEY, 2, b"two", 30.0),), True), ending])
        assert isinstance(_read(shard, session), Load)

    _play(story)


def test_a_tag_invalidates_all_that_is_grouped_under_it() -> None:
    """And a page that is loaded after it holds again."""

    async def story(shard: CacheShard, session: int) -> None:
        for page in ("page:1", "page:2"):
            _load(shard, session, b"old", 0, page, TAG)
        _load(shard, session, b"other", 0, "page:3", "merchant:2")
        shard.begin(session, [Begin(1, (), (TAG,))])
        assert _read(shard, session, "page:1", TAG) == Bypass("changing")
        shard.tell(session, [End(1, (), True)])
        await _wake(shard, session)
        _load(shard, session, b"new", 0, "page:1", TAG)
        assert _value(_read(shard, session, "page:1", TAG)) == b"new"
        assert isinstance(_read(shard, session, "page:2", TAG), Load)
        assert _value(_read(shard, session, "page:3", "merchant:2")) == b"other"

    _play(story)


async def _wake(shard: CacheShard, session: int) -> None:
    """Read until the shard has taken back that nothing is cached under the tag."""
    while _read(shard, session, "page:0", TAG) == Bypass("quiet"):
        await asyncio.sleep(0.01)


def test_a_tag_that_nobody_reads_is_quiet() -> None:
    """Its writer may count on that until it is read a lot; a page is cached only once the writer knows."""

    async def story(shard: CacheShard, session: int) -> None:
        writer = shard.open_session("writer").session
        (begun,) = shard.begin(writer, [Begin(1, (), (TAG,))])
        assert [tag for tag, _ in begun.quiet] == [TAG]
        shard.tell(writer, [End(1, (), True)])
        listening = asyncio.ensure_future(shard.listen(writer, 0, (), None))
        await asyncio.sleep(0)
        for _ in range(2):
            assert _read(shard, session, "page:1", TAG) == Bypass("quiet")
        assert not listening.done()
        assert _read(shard, session, "page:1", TAG) == Bypass("quiet")
        notices = await listening
        assert notices.keys == (f"quiet:{TAG}",)
        assert _read(shard, session, "page:1", TAG) == Bypass("quiet")
        acknowledging = asyncio.ensure_future(shard.listen(writer, notices.sequence, (), None))
        await asyncio.sleep(0)
        _load(shard, session, b"page", 0, "page:1", TAG)
        # It was read more than twice since the last change, so the next one has to be told.
        (begun,) = shard.begin(writer, [Begin(2, (), (TAG,))])
        assert begun.quiet == ()
        acknowledging.cancel()

    _play(story)


def test_a_transition_waits_for_holders() -> None:
    """Until they have acknowledged; the answer to a listen tells them what to drop."""

    async def story(shard: CacheShard, session: int) -> None:
        _load(shard, session, b"value")
        holder = shard.open_session("holder").session
        assert isinstance(_read(shard, holder, hold=True), Hit)
        listening = asyncio.ensure_future(shard.listen(holder, 0, (), None))
        await asyncio.sleep(0)
        assert shard.begin(session, [Begin(1, (KEY,), ())])[0].sequence == 0
        begun = asyncio.ensure_future(shard.begun(session, 1))
        notices = await listening
        assert notices.keys == (KEY,)
        await asyncio.sleep(0.1)
        assert not begun.done()
        acknowledging = asyncio.ensure_future(shard.listen(holder, notices.sequence, (), None))
        assert await begun > 0
        acknowledging.cancel()

    _play(story)


async def _changed_under(shard: CacheShard, writer: int, holder: int, ending: End) -> Notices:
    """Have a key change that a process holds near; return what that process hears last."""
    listening = asyncio.ensure_future(shard.listen(holder, 0, (), None))
    await asyncio.sleep(0)
    shard.begin(writer, [Begin(ending.transition, (KEY,), ())])
    notices = await listening
    assert (notices.keys, notices.updates) == ((KEY,), ())
    listening = asyncio.ensure_future(shard.listen(holder, notices.sequence, (), None))
    await shard.begun(writer, ending.transition)
    shard.tell(writer, [ending])
    return await listening


def test_whoever_held_a_key_is_told_what_it_became() -> None:
    """And may hold that: the next change waits for it again."""

    async def story(shard: CacheShard, session: int) -> None:
        _load(shard, session, b"one")
        holder = shard.open_session("holder").session
        assert isinstance(_read(shard, holder, hold=True), Hit)
        began = asyncio.get_running_loop().time()
        heard = await _changed_under(shard, session, holder, End(1, (Publication(KEY, 2, b"two", 30.0),), True))
        assert asyncio.get_running_loop().time() - began == pytest.approx(UPDATE_WITHIN_S, abs=0.001)
        (update,) = heard.updates
        assert (update.key, update.value, update.version, heard.keys) == (KEY, b"two", 2, ())
        assert update.hold > 0
        assert shard.begin(session, [Begin(2, (KEY,), ())])[0].sequence == 0

    _play(story)


def test_nobody_is_told_what_is_not_certain() -> None:
    """Of a change that only invalidates, or of which its writer does not know, there is nothing to hold."""

    async def story(shard: CacheShard, session: int) -> None:
        for transition, ending in enumerate((End(0, (), True), End(0, (), False)), start=1):
            _load(shard, session, b"one")
            holder = shard.open_session("holder").session
            assert isinstance(_read(shard, holder, hold=True), Hit)
            heard = await _changed_under(shard, session, holder, ending._replace(transition=transition))
            assert heard.updates == ()
            assert shard.begin(session, [Begin(9, (KEY,), ())])[0].sequence > 0
            shard.tell(session, [End(9, (), True)])

    _play(story)


def test_an_offer_that_was_not_taken_yet_goes_with_the_next_change() -> None:
    """The holder never hears of a state that is over by then."""

    async def story(shard: CacheShard, session: int) -> None:
        _load(shard, session, b"one")
        holder = shard.open_session("holder").session
        assert isinstance(_read(shard, holder, hold=True), Hit)
        listening = asyncio.ensure_future(shard.listen(holder, 0, (), None))
        await asyncio.sleep(0)
        shard.begin(session, [Begin(1, (KEY,), ())])
        acknowledged = (await listening).sequence
        listening = asyncio.ensure_future(shard.listen(holder, acknowledged, (), None))
        await shard.begun(session, 1)
        shard.tell(session, [End(1, (Publication(KEY, 2, b"two", 30.0),), True)])
        shard.begin(session, [Begin(2, (KEY,), ())])
        heard = await listening
        assert (heard.keys, heard.updates) == ((KEY,), ())

    _play(story)


def test_a_writer_is_not_called_for_what_it_changes_itself() -> None:
    """It drops its copy as it hears that its change has begun; but another writer waits until it says so."""

    async def story(shard: CacheShard, session: int) -> None:
        _load(shard, session, b"value")
        writer = shard.open_session("writer").session
        assert isinstance(_read(shard, writer, hold=True), Hit)
        listening = asyncio.ensure_future(shard.listen(writer, 0, (), None))
        await asyncio.sleep(0)
        assert shard.begin(writer, [Begin(1, (KEY,), ())])[0].sequence > 0
        await asyncio.sleep(0.1)
        assert not listening.done()
        assert shard.begin(session, [Begin(2, (KEY,), ())])[0].sequence == 0
        assert (await listening).keys == (KEY,)

    _play(story)


def test_a_transition_waits_no_longer_than_a_lease() -> None:
    """For a holder that says nothing; which is then not known any more."""

    async def story(shard: CacheShard, session: int) -> None:
        _load(shard, session, b"value")
        holder = shard.open_session("holder").session
        _read(shard, holder, hold=True)
        began = asyncio.get_running_loop().time()
        shard.begin(session, [Begin(1, (KEY,), ())])
        await shard.begun(session, 1)
        assert LEASE_S <= asyncio.get_running_loop().time() - began < LEASE_S + 1
        with pytest.raises(NoSession):
            shard.read(holder, [])

    _play(story)


def test_a_shard_that_starts_lets_old_leases_run_out() -> None:
    """It serves nothing and confirms no transition for as long as one may last."""

    async def story() -> None:
        loop = asyncio.get_running_loop()
        shard = CacheShard(1_000_000, clock=loop.time, incarnation=2)
        session = shard.open_session("writer").session
        assert shard.read(session, [Want(KEY, None, True)]) == [Bypass("recovering")]
        assert shard.begin(session, [Begin(1, (KEY,), ())])[0].sequence == 0
        listening = loop.create_task(_listen(shard, session))
        await shard.begun(session, 1)
        assert loop.time() == pytest.approx(LEASE_S, abs=0.01)
        listening.cancel()

    run_virtually(story())


def test_a_process_that_died_blocks_nothing() -> None:
    """Its transitions and its loads end with its lease."""

    async def story(shard: CacheShard, session: int) -> None:
        dead = shard.open_session("dead").session
        shard.begin(dead, [Begin(1, (KEY,), ())])
        assert isinstance(_read(shard, dead, "payment:2"), Load)
        assert _read(shard, session) == Bypass("changing")
        assert isinstance(_read(shard, session, "payment:2"), Wait)
        await asyncio.sleep(LEASE_S + 1)
        assert isinstance(_read(shard, session), Load)
        assert isinstance(_read(shard, session, "payment:2"), Load)

    _play(story)


def test_operators_invalidate_by_key_by_tag_and_by_model() -> None:
    """And hear how many values there were."""

    async def story(shard: CacheShard, session: int) -> None:
        for number in range(3):
            _load(shard, session, b"value", 1, f"payment:{number}")
        _load(shard, session, b"value", 1, "refund:1")
        _load(shard, session, b"value", 0, "page:1", TAG)
        assert await shard.invalidate(("payment:0", "payment:9"), (), ()) == 1
        assert await shard.invalidate((), (TAG,), ()) == 1
        assert await shard.invalidate((), (), ("payment",)) == 2
        assert isinstance(_read(shard, session, "refund:1"), Hit)
        assert isinstance(_read(shard, session, "payment:2"), Load)

    _play(story)


def test_the_bound_holds_and_the_snapshot_says_so() -> None:
    """Also where fences and tags are among what is stored."""

    async def story(shard: CacheShard, session: int) -> None:
        for number in range(3000):
            _load(shard, session, b"v" * 500, 1, f"page:{number}", f"merchant:{number % 7}")
        await shard.invalidate((), ("merchant:3",), ())
        state = shard.snapshot().state
        assert state.bytes_used <= state.bound_bytes == 400_000
        assert state.evictions > 1000
        assert state.ready
        assert state.loading == state.changing == 0

    _play(story, bound_bytes=400_000)


def test_who_holds_what_takes_a_quarter_of_the_bound_at_the_most() -> None:
    """Beyond it nobody may keep more near, until something is let go of or a process is not believed any more."""

    async def story(shard: CacheShard, session: int) -> None:
        keys = [f"payment:{number:05d}" for number in range(2000)]
        holds = dict(zip(keys, _holds(shard, session, keys), strict=True))
        held = shard.snapshot().state.held
        assert 20_000 < held * (sys.getsizeof(keys[0]) + 100) <= 25_000
        assert [key for key, hold in holds.items() if hold] == keys[:held]
        assert shard.snapshot().state.bytes_used <= 100_000
        silent = shard.open_session("silent").session
        assert _holds(shard, silent, keys[:10]) == [0] * 10
        drops = [(key, hold) for key, hold in holds.items() if hold][:10]
        await shard.listen(session, 0, drops, None)
        assert all(_holds(shard, silent, keys[:10]))
        assert _holds(shard, session, keys[:1]) == [0]
        await asyncio.sleep(2 * LEASE_S)
        assert all(_holds(shard, session, keys[:10]))

    _play(story, bound_bytes=100_000)


def _holds(shard: CacheShard, session: int, keys: list[str]) -> list[int]:
    """Return the permissions to keep keys near, one after the other."""
    holds: list[int] = []
    for key in keys:
        answer = _read(shard, session, key, hold=True)
        if isinstance(answer, Load):
            shard.tell(session, [GiveUp(key, answer.token)])
        assert isinstance(answer, Load | Hit)
        holds.append(answer.hold)
    return holds


def test_messages_that_come_twice_do_no_harm() -> None:
    """A call whose answer was lost is repeated."""

    async def story(shard: CacheShard, session: int) -> None:
        begin = Begin(1, (KEY,), ())
        assert shard.begin(session, [begin]) == shard.begin(session, [begin])
        end = End(1, (Publication(KEY, 2, b"two", 30.0),), True)
        shard.tell(session, [end, end])
        assert _value(_read(shard, session)) == b"two"
        assert shard.snapshot().state.changing == 0

    _play(story)


def test_a_shard_that_retires_ends_every_session_and_keeps_what_is_its_own() -> None:
    """Loads and transitions under way end too; of pages it is the tag that says whose they are."""

    async def story(shard: CacheShard, session: int) -> None:
        _load(shard, session, b"own")
        _load(shard, session, b"moves", 1, "payment:2")
        _load(shard, session, b"page", 0, "page:1", TAG)
        _load(shard, session, b"page", 0, "page:2", "merchant:2")
        loading = _read(shard, session, "payment:3")
        assert isinstance(loading, Load)
        shard.begin(session, [Begin(1, ("payment:4",), ())])
        shard.retire(lambda name: name in {KEY, TAG, "payment:3"})
        for ended in (shard.read, shard.begin):
            with pytest.raises(NoSession):
                ended(session, [])
        shard.tell(session, [Fill("payment:3", loading.token, b"late", 1, 30.0)])
        found = shard.snapshot().state
        assert (found.sessions, found.changing, found.loading, found.entries) == (0, 0, 0, 2)
        again = shard.open_session("reader").session
        assert _value(_read(shard, again)) == b"own"
        assert _value(_read(shard, again, "page:1", TAG)) == b"page"
        for key in ("payment:2", "payment:3", "payment:4"):
            assert isinstance(_read(shard, again, key), Load)

    _play(story)
