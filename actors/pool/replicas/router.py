"""Which replica may answer a read. Pure: it is told what was observed and when.

A replica that is away, behind by more than the bound, of another timeline or a primary itself is left out. It comes
back by itself: once it was seen to be fit for a while, and behind by half of the bound at most, so that one at the
bound does not go in and out. After failures that while doubles.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from actors.pool.replicas.mark import Mark
from actors.pool.servers.timeline import Standing


class Exclusion(Enum):
    """Why a replica is left out."""

    UNSEEN = "unseen"
    AWAY = "away"
    LAGGING = "lagging"
    OTHER_TIMELINE = "other_timeline"
    PRIMARY = "primary"


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen of a server. None of ``standing``: it did not answer. None of ``lag_s``: not known."""

    standing: Standing | None
    lag_s: float | None


@dataclass(frozen=True, slots=True)
class RouterPolicy:
    """Bounds, in seconds."""

    lag_max_s: float = 5.0
    # Of `lag_max_s`: how far behind one that was left out may be to come back.
    lag_return_share: float = 0.5
    # The while that it has to be fit, after a first failure and at most.
    fit_min_s: float = 1.0
    fit_max_s: float = 30.0
    # An observation that is older says nothing any more.
    unseen_max_s: float = 3.0


@dataclass(frozen=True, slots=True)
class Choice:
    """A replica, and whether it had replayed the mark when it was last seen, which was not before ``seen_at``.

    One that was killed may start with less than it had: on a connection made since then, it has to be asked again.
    """

    name: str
    ready: bool
    seen_at: float


@dataclass(slots=True)
class _Replica:
    seen: Standing | None = None
    lag_s: float | None = None
    seen_at: float = float("-inf")
    out: Exclusion | None = Exclusion.UNSEEN
    fit_since: float | None = None
    fit_s: float = 0.0
    in_flight: int = 0
    chosen: int = 0


class ReplicaRouter:
    """Chooses among the fit replicas by what they have replayed and by load. Call ``end`` for each choice."""

    def __init__(self, names: Iterable[str], policy: RouterPolicy) -> None:
        self._replicas = {name: _Replica() for name in names}
        self._policy = policy
        self._choices = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The replicas."""
        return tuple(self._replicas)

    def observe(self, name: str, seen: Observation, highest: int, now: float) -> None:
        """Take note of an observation made no earlier than ``now``; ``highest``: the highest timeline seen of the
        cluster, 0 where none was.
        """
        replica = self._replicas[name]
        fault = self._fault(replica, seen, highest)
        if seen.standing is not None:
            replica.seen, replica.lag_s, replica.seen_at = seen.standing, seen.lag_s, now
        if fault is None:
            self._fit(replica, now)
        else:
            self._exclude(replica, fault)

    def failed(self, name: str) -> None:
        """Take note that a read failed for the server's own sake."""
        replica = self._replicas[name]
        replica.fit_s = min(self._policy.fit_max_s, replica.fit_s * 2) or self._policy.fit_min_s
        self._exclude(replica, Exclusion.AWAY)

    def choose(self, mark: Mark | None, now: float) -> Choice | None:
        """Return the replica to ask, None: the primary. With a mark, none that can never have it is chosen."""
        able = [
            (not ready, -replica.seen.lsn if not ready else 0, replica.in_flight, replica.chosen, name)
            for name, replica in self._replicas.items()
            if replica.seen is not None
            and self.exclusion(name, now) is None
            and (mark is None or replica.seen.timeline >= mark.timeline)
            for ready in (mark is None or replica.seen.lsn >= mark.lsn,)
        ]
        if not able:
            return None
        unready, *_, name = min(able)
        chosen = self._replicas[name]
        self._choices += 1
        chosen.chosen = self._choices
        chosen.in_flight += 1
        return Choice(name, not unready, chosen.seen_at)

    def end(self, name: str, *, well: bool) -> None:
        """End a choice; ``well``: the replica has answered."""
        replica = self._replicas[name]
        replica.in_flight -= 1
        if well:
            replica.fit_s = 0.0

    def exclusion(self, name: str, now: float) -> Exclusion | None:
        """Say why a replica is left out, None: it is not."""
        replica = self._replicas[name]
        if replica.out is None and now - replica.seen_at > self._policy.unseen_max_s:
            return Exclusion.UNSEEN
        return replica.out

    def _fault(self, replica: _Replica, seen: Observation, highest: int) -> Exclusion | None:
        server, policy = seen.standing, self._policy
        if server is None:
            return Exclusion.AWAY
        if not server.in_recovery:
            return Exclusion.PRIMARY
        if server.timeline < highest:
            return Exclusion.OTHER_TIMELINE
        first = replica.out in (None, Exclusion.UNSEEN)
        bound_s = policy.lag_max_s * (1 if first else policy.lag_return_share)
        if seen.lag_s is None or seen.lag_s > bound_s:
            return Exclusion.LAGGING
        return None

    def _fit(self, replica: _Replica, now: float) -> None:
        """Let it back in, at once where there never was a fault."""
        if replica.out is None:
            return
        if replica.out is Exclusion.UNSEEN:
            replica.out = None
            return
        if replica.fit_since is None:
            replica.fit_since = now
        if now - replica.fit_since >= max(replica.fit_s, self._policy.fit_min_s):
            replica.out, replica.fit_since = None, None

    def _exclude(self, replica: _Replica, why: Exclusion) -> None:
        replica.out, replica.fit_since = why, None
