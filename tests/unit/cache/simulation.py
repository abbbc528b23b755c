"""The whole cache in one event loop of virtual time: real shards and clients, a network that delays, loses and
duplicates, processes that stall and die, shards that restart. Every run is determined by its seed."""

from __future__ import annotations

import asyncio
import inspect
import math
import random
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from actors.cache.actor import CacheShardActor, Reign
from actors.cache.client import CacheClient, Loaded
from actors.cache.counts import Report
from actors.cache.epochs import Epoch
from actors.cache.level2.node import ServerRestarted
from actors.cache.level2.redis_level import Found, Put
from actors.cache.limits.messages import PermitAnswer, PermitAsk
from actors.cache.messages import (
    Answer,
    Begin,
    Begun,
    End,
    Fill,
    GiveUp,
    Notices,
    Publication,
    ShardSnapshot,
    Want,
    Welcome,
)
from actors.cache.sharding.stored import Rings, RingVersion, shard_names
from actors.runtime.errors import Unavailable
from tests.support.history import History, Seen
from tests.unit.cache.simulated_ring import MakeKeeper, SimulatedRing, plain_keeper

_T = TypeVar("_T")

_CALL_ENDS_WITHIN_S = 10.0

MakeShard = Callable[["SimulatedShard"], CacheShardActor]
MakeClient = Callable[["SimulatedProcess"], CacheClient]


def plain_shard(place: SimulatedShard) -> CacheShardActor:
    """Make a shard as it is."""
    return make_actor(CacheShardActor, place)


def make_actor(
    kind: type[CacheShardActor], place: SimulatedShard, reign: Callable[[], Awaitable[Reign]] | None = None
) -> CacheShardActor:
    """Make a shard of this class."""
    actor = kind(
        "0",
        place.name,
        "sim",
        1_000_000,
        lambda _: place,
        lambda _: place.rings,
        lambda: place.redis,
        reign=reign,
        clock=_now,
        now=_now,
        draw=place.draw,
    )
    # So short that keys which change every second are in Redis, too.
    actor.settled_after_s = 0.05
    return actor


def plain_client(process: SimulatedProcess) -> CacheClient:
    """Make a client as it is."""
    return make_process_client(CacheClient, process)


def make_process_client(kind: type[CacheClient], process: SimulatedProcess) -> CacheClient:
    """Make a client of this class. It asks the shards of the first ring."""
    return kind(process.port, process.name, shards=shard_names(2), near_bytes=1_000_000, clock=_now)


def _now() -> float:
    return asyncio.get_running_loop().time()


class SimulatedDatabase:
    """Versions by key. A commit takes effect somewhere between its request and its answer, a read sees one moment."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self.versions: dict[str, int] = {}

    async def load(self, key: str) -> Loaded:
        """Read a row."""
        await self._travel()
        version = self.versions.get(key, 1)
        await self._travel()
        return Loaded(str(version).encode(), version)

    async def commit(self, *keys: str) -> list[int]:
        """Change rows together, and return their new versions."""
        await self._travel()
        for key in keys:
            self.versions[key] = self.versions.get(key, 1) + 1
        versions = [self.versions[key] for key in keys]
        await self._travel()
        return versions

    async def _travel(self) -> None:
        await asyncio.sleep(self._draw.expovariate(1 / 0.002))


class SimulatedRedis:
    """Keeps entries by comparison, as the scripts do; writes take a while, and may be overtaken by later ones. It can
    be away, and come back with what it held some time ago."""

    def __init__(self, draw: random.Random) -> None:
        self._draw = draw
        self._prefix = ""
        self._known = 0
        self.starts = 1
        self.is_away = False
        self.entries: dict[str, tuple[int, int, bytes | None]] = {}
        self.snapshot: dict[str, tuple[int, int, bytes | None]] = {}

    def restart(self) -> None:
        """Come back with the last snapshot."""
        self.starts += 1
        self.entries = dict(self.snapshot)

    async def identity(self) -> str:
        await self._travel()
        self._known = self.starts
        return str(self.starts)

    def reprefix(self, prefix: str) -> None:
        self._prefix = prefix

    async def mark(self, items: Sequence[tuple[str, int]]) -> None:
        prefix = self._prefix
        await self._travel()
        for key, stamp in items:
            known, version, _ = self.entries.get(prefix + key, (0, 0, None))
            self.entries[prefix + key] = (max(known, stamp), version, None)

    async def put(self, items: Sequence[Put]) -> list[bool]:
        prefix = self._prefix
        await self._travel()
        if self._draw.random() < 0.2:
            await asyncio.sleep(self._draw.uniform(0, 0.2))
        return [self._put(prefix, item) for item in items]

    def _put(self, prefix: str, item: Put) -> bool:
        stamp, version, data = self.entries.get(prefix + item.key, (0, 0, None))
        if item.stamp < stamp or (item.stamp == stamp and data is None) or item.version < version:
            return False
        self.entries[prefix + item.key] = (item.stamp, item.version, item.data)
        return True

    async def get(self, keys: Sequence[str]) -> dict[str, Found]:
        prefix = self._prefix
        await self._travel()
        found = {key: self.entries.get(prefix + key, (0, 0, None)) for key in keys}
        await asyncio.sleep(self._draw.expovariate(1 / 0.0005))
        return {key: Found(stamp, version, data) for key, (stamp, version, data) in found.items() if data is not None}

    async def hot_keys(self) -> list[str]:
        return [f"payment:{number}" for number in range(60)]

    async def save_hot_keys(self, keys: Sequence[str]) -> None:
        """Not needed: it returns all."""

    async def close(self) -> None:
        """Nothing is open."""

    async def _travel(self) -> None:
        await asyncio.sleep(self._draw.expovariate(1 / 0.0005))
        if self.is_away:
            raise Unavailable("redis", "is away", 1.0)
        if self._known not in (0, self.starts):
            raise ServerRestarted("redis", "restarted", 1.0)


class SimulatedShard:
    """A place for a shard, with its epochs and its Redis: the shard can be killed and comes back empty, under the same
    name. One that is cut off serves its clients, and its keeper cannot reach it."""

    def __init__(self, name: str, make: MakeShard, draw: random.Random, rings: Rings) -> None:
        self.name = name
        self.draw = draw
        self.rings = rings
        self.is_wanted = False
        self.is_cut_off = False
        self._make = make
        self._epoch = Epoch(0, 1, "")
        self._redis = SimulatedRedis(draw)
        self.shard: CacheShardActor | None = None

    def run(self) -> None:
        """Have a shard here, for as long as it is not ended."""
        if not self.is_wanted:
            self.is_wanted = True
            self._start()

    def end(self) -> None:
        """Have no shard here any more."""
        self.is_wanted = False
        if self.shard is not None:
            self._kill(self.shard)

    async def answer(self, call: Awaitable[_T]) -> _T:
        """Return the answer of the shard that is here now, unless it dies before it has given it."""
        shard, task = self.shard, asyncio.current_task()
        assert task is not None
        try:
            answer = await call
        except asyncio.CancelledError:
            if task.cancelling():
                raise
            raise Unavailable(self.name, "died while it started", 1.0) from None
        if shard is not self.shard:
            raise Unavailable(self.name, "died", 1.0)
        return answer

    def cut_off(self, for_s: float) -> None:
        """Let nobody but its clients reach it for a while."""
        self.is_cut_off = True
        asyncio.get_running_loop().call_later(for_s, self._reconnect)

    def _reconnect(self) -> None:
        self.is_cut_off = False

    @property
    def redis(self) -> SimulatedRedis:
        """The Redis; a shard that starts connects anew."""
        self._redis._known = 0
        return self._redis

    async def take(self) -> Epoch:
        self._epoch = self._epoch._replace(incarnation=self._epoch.incarnation + 1)
        return self._epoch

    async def move(self, redis: str) -> Epoch:
        self._epoch = self._epoch._replace(namespace=self._epoch.namespace + 1, redis=redis)
        return self._epoch

    async def begin_reign(self, number: int) -> None:
        self._epoch = self._epoch._replace(reign=number)

    def restart(self, away_s: float) -> None:
        """Kill it; it is back after a while."""
        assert self.shard is not None
        self._kill(self.shard)
        asyncio.get_running_loop().call_later(away_s, self._start)

    def _kill(self, shard: CacheShardActor) -> None:
        for task in (shard._opening, *shard._working):
            if task is not None:
                task.cancel()
        if shard._opened is not None:
            shard._opened._directory.expire(math.inf)  # Whoever waits for it hears that it is dead.
        self.shard = None

    def _start(self) -> None:
        if self.is_wanted and self.shard is None:
            self.shard = self._make(self)
            self.shard._open()  # As it does when it is asked for its address.

    def disturb_redis(self) -> None:
        """Take Redis away for a while, if not for a moment only; it may come back with the past."""
        if self.draw.random() < 0.5:
            self._redis.restart()
        away_s = self.draw.choice((0.0, 0.0, 0.1, 4.0))
        self._redis.is_away = away_s > 0
        if self.shard is not None and self.draw.random() < 0.5:
            self.restart(0.05)  # They share a machine.
        asyncio.get_running_loop().call_later(away_s, self._undisturb_redis)

    def _undisturb_redis(self) -> None:
        self._redis.is_away = False

    def save_redis(self) -> None:
        """Take a snapshot."""
        self._redis.snapshot = dict(self._redis.entries)


class SimulatedPort:
    """The way from one process to one shard."""

    def __init__(self, target: SimulatedShard, process: SimulatedProcess, draw: random.Random) -> None:
        self._target = target
        self._process = process
        self._draw = draw

    async def open_session(self, owner: str, ring: int) -> Welcome | RingVersion:
        return await self._call(lambda shard: shard.open_session(owner, ring))

    async def listen(
        self, session: int, acknowledged: int, drops: Sequence[tuple[str, int]], report: Report | None
    ) -> Notices:
        return await self._call(lambda shard: shard.listen(session, acknowledged, list(drops), report))

    async def read(self, session: int, wants: Sequence[Want]) -> list[Answer]:
        return await self._call(lambda shard: shard.read(session, wants))

    async def wait(self, session: int, want: Want, token: int) -> Answer:
        return await self._call(lambda shard: shard.wait(session, want, token))

    async def begin(self, session: int, beginnings: Sequence[Begin]) -> list[Begun]:
        return await self._call(lambda shard: shard.begin(session, beginnings))

    async def begun(self, session: int, transition: int) -> int:
        return await self._call(lambda shard: shard.begun(session, transition))

    async def tell(self, session: int, messages: Sequence[Fill | GiveUp | End]) -> None:
        await self._call(lambda shard: shard.tell(session, messages))

    async def permits(self, session: int, asks: Sequence[PermitAsk]) -> list[PermitAnswer]:
        return await self._call(lambda shard: shard.permits(session, list(asks)))

    async def record(self, entries: Sequence[tuple[str, bytes]]) -> None:
        return await self._call(lambda shard: shard.record(entries))

    async def snapshot(self) -> ShardSnapshot:
        return await self._call(lambda shard: shard.snapshot())

    async def invalidate(self, keys: Sequence[str], tags: Sequence[str], models: Sequence[str]) -> int:
        return await self._call(lambda shard: shard.invalidate(keys, tags, models))

    def close(self) -> None:
        """Nothing is open."""

    async def _call(self, call: Callable[[CacheShardActor], _T | Awaitable[_T]]) -> _T:
        await self._travel()
        shard = self._shard()
        fate = self._draw.random()
        if fate < self._process.loss / 2:
            raise Unavailable("shard", "lost on the way", 1.0)
        if fate < self._process.loss:
            # Delivered twice: the first answer is lost, and the caller repeats.
            self._process.start(_quietly(shard, call))
            raise Unavailable("shard", "the answer was lost", 1.0)
        answer = await self._target.answer(_answered(call(shard)))
        await self._travel()
        return answer

    def _shard(self) -> CacheShardActor:
        if not self._process.alive:
            raise Unavailable("process", "is dead", 1.0)
        if self._target.shard is None:
            raise Unavailable("shard", "is away", 1.0)
        return self._target.shard

    async def _travel(self) -> None:
        delay = self._draw.expovariate(1 / 0.001)
        if self._draw.random() < 0.01:
            delay += self._draw.uniform(0, 0.3)
        await asyncio.sleep(delay)
        await self._process.awake.wait()


async def _answered(answer: _T | Awaitable[_T]) -> _T:
    return await answer if inspect.isawaitable(answer) else answer


async def _quietly(shard: CacheShardActor, call: Callable[[CacheShardActor], object]) -> None:
    try:
        async with asyncio.timeout(_CALL_ENDS_WITHIN_S):  # With a shard that dies a call would never end.
            await _answered(call(shard))
    except (Exception, asyncio.CancelledError):
        return  # Nobody hears the answer, whatever it is.


class SimulatedProcess:
    """A process with a client. It can stall (nothing in it runs) and die."""

    def __init__(
        self,
        name: str,
        ring: SimulatedRing,
        database: SimulatedDatabase,
        make_client: MakeClient,
        draw: random.Random,
        loss: float = 0.02,
    ) -> None:
        self.name = name
        self.loss = loss
        self.alive = True
        self.awake = asyncio.Event()
        self.awake.set()
        self.ring = ring
        self._draw = draw
        self._database = database
        self.cache = make_client(self)
        self.work: dict[asyncio.Future[None], None] = {}

    def port(self, name: str) -> SimulatedPort:
        """Return the way to a shard."""
        return SimulatedPort(self.ring.place(name), self, self._draw)

    async def read(self, key: str, history: History) -> None:
        """Read a key, as a client that sees when it asked and when it had the answer."""
        await self.awake.wait()
        began = _now()

        async def load() -> Loaded:
            loaded = await self._database.load(key)
            await self.awake.wait()
            return loaded

        value = await self.cache.read(key, load, ttl_s=30)
        assert value is not None
        await self.awake.wait()
        history.reads[key].append(Seen(began, _now(), int(value), self.name))

    async def list(self, tag: str, history: History) -> None:
        """Read the page of a tag, whose version is the number of changes under it."""
        await self.awake.wait()
        began = _now()

        async def load() -> Loaded:
            loaded = await self._database.load(tag)
            await self.awake.wait()
            return loaded

        value = await self.cache.read(f"page:{tag}", load, ttl_s=30, tag=tag)
        assert value is not None
        await self.awake.wait()
        history.reads[tag].append(Seen(began, _now(), int(value), self.name))

    async def write(self, key: str, tag: str, history: History) -> None:
        """Change a key, and with it what its tag lists, and acknowledge it."""
        await self.awake.wait()
        began = _now()
        transition = self.cache.transition([key], [tag])
        published: tuple[Publication, ...] = ()
        certain = False
        try:
            await transition.begun()
            version, listed = await self._database.commit(key, tag)
            await self.awake.wait()
            certain = True
            # Half of the keys are written through, the others only invalidated.
            value = str(version).encode() if key[-1] in "02468" else None
            published = (Publication(key, version if value else 0, value, 30),)
        except Unavailable:
            return
        finally:
            await transition.end(published, certain=certain)
        await self.awake.wait()
        history.writes[key].append(Seen(began, _now(), version, self.name))
        history.writes[tag].append(Seen(began, _now(), listed, self.name))

    async def create(self, tag: str, history: History) -> None:
        """Change what a tag lists and nothing else, as a new payment does."""
        await self.awake.wait()
        began = _now()
        transition = self.cache.transition([], [tag])
        certain = False
        try:
            await transition.begun()
            (listed,) = await self._database.commit(tag)
            await self.awake.wait()
            certain = True
        except Unavailable:
            return
        finally:
            await transition.end((), certain=certain)
        await self.awake.wait()
        history.writes[tag].append(Seen(began, _now(), listed, self.name))

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something in this process."""
        task = asyncio.ensure_future(work)
        self.work[task] = None
        task.add_done_callback(self.work.pop)

    async def die(self) -> None:
        """End everything in the process at once; nothing leaves it any more."""
        self.alive = False
        for task in list(self.work):
            task.cancel()
        await asyncio.gather(*self.work, return_exceptions=True)
        await self.cache.close()


FAULTS = ("shard", "redis", "die", "stall", "stall")


async def simulate(
    seed: int,
    *,
    make_shard: MakeShard = plain_shard,
    make_client: MakeClient = plain_client,
    seconds: float = 60,
    keys: int = 6,
    processes: int = 3,
    faults: Sequence[str] = FAULTS,
    write_share: float = 0.04,
    make_keeper: MakeKeeper | None = None,
) -> tuple[History, list[SimulatedProcess]]:
    """Run reads and writes for a while; return what their clients saw, and all processes that ever were.

    With ``make_keeper`` the ring of shards changes all the time, and its keeper dies now and then.
    """
    random.seed(seed)  # What pauses between tries are drawn from.
    draw = random.Random(seed)
    history = History()
    database = SimulatedDatabase(draw)
    ring = SimulatedRing(2, make_shard, draw, make_keeper or plain_keeper)
    if make_keeper is not None:
        ring.start()
    everyone: list[SimulatedProcess] = []

    def new_process() -> SimulatedProcess:
        process = SimulatedProcess(f"process-{len(everyone) + 1}", ring, database, make_client, draw)
        process.cache.start()
        everyone.append(process)
        return process

    running = [new_process() for _ in range(processes)]
    end = _now() + seconds
    next_fault = _now() + 3
    next_ring = _now() + 3 if make_keeper is not None else end
    while _now() < end:
        await asyncio.sleep(draw.expovariate(1 / 0.003))
        process = draw.choice(running)
        key = f"payment:{draw.randrange(keys)}"
        tag = f"merchant:{key[-1] in '012'}"
        kind = draw.random()
        if kind < write_share:
            process.start(process.write(key, tag, history))
        elif kind < 2 * write_share:
            process.start(process.create(tag, history))
        elif kind < (1 + 2 * write_share) / 3 and _now() % 20 < 10:  # Lists are read for a while, and then not.
            process.start(process.list(tag, history))
        else:
            process.start(process.read(key, history))
        if faults and _now() > next_fault:
            next_fault = _now() + draw.uniform(0.5, 6)
            await _fault(draw.choice(faults), draw, ring.running(), running, new_process)
        if _now() > next_ring:
            next_ring = _now() + draw.uniform(2, 7)
            _change_ring(draw, ring, running)
    for process in running:
        process.awake.set()
        await asyncio.gather(*process.work, return_exceptions=True)
    if make_keeper is not None:
        while not ring.rings.stored.settled:
            await asyncio.sleep(1)
        # Clients ask again after half a second at most, and shards serve two seconds after they have started.
        await asyncio.sleep(3)
        await ring.stop()
    return history, everyone


def _change_ring(draw: random.Random, ring: SimulatedRing, running: list[SimulatedProcess]) -> None:
    """Want another number of shards; while it changes, the keeper may die, a shard be cut off, or a process stall."""
    stored = ring.rings.stored
    ring.rings.stored = stored._replace(wanted=draw.choice([count for count in (1, 2, 3) if count != stored.wanted]))
    ring.keeper.wake()
    loop = asyncio.get_running_loop()
    match draw.choice(("keeper", "cut off", "stall", "stall", "nothing")):
        case "keeper":
            loop.call_later(draw.uniform(0, 3), ring.kill_keeper, draw.uniform(0, 1))
        case "cut off":
            draw.choice(ring.running()).cut_off(draw.uniform(0.5, 4))
        case "stall":
            process = draw.choice(running)
            loop.call_later(draw.uniform(0, 0.5), process.awake.clear)
            loop.call_later(2, process.awake.set)


async def _fault(
    kind: str,
    draw: random.Random,
    shards: list[SimulatedShard],
    running: list[SimulatedProcess],
    new_process: Callable[[], SimulatedProcess],
) -> None:
    loop = asyncio.get_running_loop()
    for place in shards:
        if draw.random() < 0.3:
            place.save_redis()
    match kind:
        case "redis":
            draw.choice(shards).disturb_redis()
        case "shard":
            shard = draw.choice(shards)
            if shard.shard is not None:
                shard.restart(draw.uniform(0.05, 2))
        case "die":
            number = draw.randrange(len(running))
            await running[number].die()
            running[number] = new_process()
        case _:
            process = draw.choice(running)
            process.awake.clear()
            loop.call_later(draw.choice((0.2, 1.5, 3.0)), process.awake.set)
