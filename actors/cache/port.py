"""The way to a shard."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.cache.counts import Report
from actors.cache.limits.messages import PermitAnswer, PermitAsk
from actors.cache.messages import Answer, Begin, Begun, End, Fill, GiveUp, Notices, ShardSnapshot, Want, Welcome
from actors.cache.shard import LEASE_S, LISTEN_S, LOAD_TIMEOUT_S
from actors.cache.sharding.stored import RingVersion
from actors.runtime.channel import Address, Channel
from actors.runtime.client import RETRY_AFTER_S, ActorClient
from actors.runtime.errors import DeadlineExceeded, OutcomeUnknown, Unavailable

_CALL_TIMEOUT_S = 1.0
_LISTEN_TIMEOUT_S = LISTEN_S + _CALL_TIMEOUT_S
_BEGUN_TIMEOUT_S = 2 * LEASE_S
# A connection is found and made within two seconds: what is not answered later than that had been sent. Then the shard
# waits up to a second for Redis to take what came before, and as long for this.
_RECORD_TIMEOUT_S = 4.0
# Requests wait for it, and a static share is at hand.
_PERMITS_TIMEOUT_S = 0.5


class ActorPort:
    """A ``ShardPort``. Ray says where the shard is; calls go there over a channel.

    It tries each call once: the link knows what is worth another try, and readers have the database. Raises what
    ``Channel`` says, and ``NoSession``.
    """

    def __init__(self, name: str, namespace: str) -> None:
        self._actor = _ShardActor(name, namespace)
        self._channel = Channel(name, self._actor.address)

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    async def open_session(self, owner: str, ring: int) -> Welcome | RingVersion:
        """Begin a session, or hear by which ring to route."""
        answer: Welcome | RingVersion = await self._once("open_session", owner, ring)
        return answer

    async def listen(
        self, session: int, acknowledged: int, drops: Sequence[tuple[str, int]], report: Report | None
    ) -> Notices:
        """Prolong the lease and wait for notices."""
        answer: Notices = await self._once("listen", session, acknowledged, drops, report, timeout_s=_LISTEN_TIMEOUT_S)
        return answer

    async def read(self, session: int, wants: Sequence[Want]) -> list[Answer]:
        """Read keys."""
        answers: list[Answer] = await self._once("read", session, wants)
        return answers

    async def wait(self, session: int, want: Want, token: int) -> Answer:
        """Read a key that another process loads."""
        answer: Answer = await self._once("wait", session, want, token, timeout_s=LOAD_TIMEOUT_S + _CALL_TIMEOUT_S)
        return answer

    async def begin(self, session: int, beginnings: Sequence[Begin]) -> list[Begun]:
        """Begin transitions."""
        begun: list[Begun] = await self._once("begin", session, beginnings)
        return begun

    async def begun(self, session: int, transition: int) -> int:
        """Wait until a transition has begun."""
        sequence: int = await self._once("begun", session, transition, timeout_s=_BEGUN_TIMEOUT_S)
        return sequence

    async def tell(self, session: int, messages: Sequence[Fill | GiveUp | End]) -> None:
        """Tell what loads and transitions came to."""
        await self._once("tell", session, messages)

    async def permits(self, session: int, asks: Sequence[PermitAsk]) -> list[PermitAnswer]:
        """Tell of permits that were spent, and ask for more."""
        answers: list[PermitAnswer] = await self._once("permits", session, asks, timeout_s=_PERMITS_TIMEOUT_S)
        return answers

    async def record(self, entries: Sequence[tuple[str, bytes]]) -> None:
        """Have writes written behind."""
        try:
            await self._once("record", entries, timeout_s=_RECORD_TIMEOUT_S)
        except DeadlineExceeded as late:
            raise OutcomeUnknown(late.operation, "no answer within the deadline") from None

    async def snapshot(self) -> ShardSnapshot:
        """Return the shard's state."""
        found: ShardSnapshot = await self._once("snapshot")
        return found

    async def invalidate(self, keys: Sequence[str], tags: Sequence[str], models: Sequence[str]) -> int:
        """Drop what is cached; return how many values."""
        dropped: int = await self._once("invalidate", keys, tags, models, timeout_s=_BEGUN_TIMEOUT_S)
        return dropped

    async def _once(self, method: str, *arguments: Any, timeout_s: float = _CALL_TIMEOUT_S) -> Any:
        return await self._channel.call(method, *arguments, timeout_s=timeout_s)


class _ShardActor(ActorClient):
    """The shard as Ray knows it."""

    async def address(self) -> Address:
        """Return where its server is; raises Unavailable and Overloaded."""
        try:
            address: Address = await self._ask("address", timeout_s=_CALL_TIMEOUT_S, repeatable=False)
        except (OutcomeUnknown, DeadlineExceeded) as lost:
            # The question changes nothing, and what was to be called there was not.
            raise Unavailable(self._name, str(lost), RETRY_AFTER_S) from lost
        return address
