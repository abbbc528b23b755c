"""A shard's part of rate limits: it counts each key's window, and lends permits out of what is left."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

from actors.cache.limits.messages import LEASE_S, TICK_S, WINDOW_S, PermitAnswer, PermitAsk
from actors.cache.limits.window import SlidingWindow

EXACT_MAX = 600
"""Up to this limit nothing is lent ahead of need: each request asks the shard, ten a second of a key at the most."""
_AHEAD_PART = 0.04
KEYS_MAX = 50_000
_MINOR_PART = 0.5
"""Of the keys that there is room for, those up to which minor ones are taken."""


class _Holding:
    """What one process holds of a key, by its last question: unspent, or spent and not told yet."""

    __slots__ = ("lease_until", "number", "out", "spent_total")

    def __init__(self) -> None:
        self.number = -1
        self.spent_total = 0
        self.out = 0
        self.lease_until = -math.inf


class _Account:
    """One key: what was spent in its window, and what is out."""

    __slots__ = ("asked_at", "holdings", "window")

    def __init__(self, tick_s: float) -> None:
        self.window = SlidingWindow(tick_s)
        self.holdings: dict[str, _Holding] = {}
        self.asked_at = 0.0

    @property
    def used(self) -> int:
        return self.window.used + sum(holding.out for holding in self.holdings.values())

    def expire(self, now: float, window_s: float) -> None:
        """Take permits of processes that let their lease run out for spent, as late as they could be."""
        self.window.expire(now)
        for owner in [owner for owner, holding in self.holdings.items() if holding.lease_until <= now]:
            holding = self.holdings.pop(owner)
            if holding.out:
                self.window.add(holding.out, holding.lease_until + window_s)
        self.window.expire(now)


class PermitLedger:
    """The limits of one shard's keys. Times are seconds of ``clock``, which is monotonic.

    At every moment, for each key: spent in the window + out <= limit. A permit is out from when it was granted until
    its process tells that it was spent, and how long ago, or gives it back; those of a process that falls silent for
    ``lease_s`` count as spent at the end of that. What was spent counts for ``window_s`` from then, and up to twice
    ``TICK_S`` longer where the limit is above ``EXACT_MAX``. So no more than the limit is ever spent in any span of
    ``window_s`` while processes hear of the shard. All clocks need is the same rate: no time of one is compared with
    another's.

    A ledger that is new, or has been told to ``recover``, does not know what was spent before: for a window and a lease
    it grants nothing, has processes keep to their static shares, and counts what they tell.

    Lending ahead is bounded to 4 % of the limit for all processes together, and near the limit to half of what is left,
    so that less than that lies unused with one process while another is refused.

    A key for which there is no room has processes keep to their static shares. For minor keys room ends at half, so
    that strangers, who can make up as many as they like, take none from merchants.

    Source: leases, Gray and Cheriton, SOSP 1989; limits shared by many, Raghavan et al., "Cloud control with
    distributed rate limiting", SIGCOMM 2007.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        life: str,
        is_first: bool = False,
        window_s: float = WINDOW_S,
        lease_s: float = LEASE_S,
        keys_max: int = KEYS_MAX,
    ) -> None:
        """``life`` names this ledger, unlike any other that its processes may hear of. ``is_first``: nobody has
        granted permits of its keys before."""
        self._clock = clock
        self._life = life
        self._window_s = window_s
        self._lease_s = lease_s
        self._keys_max = keys_max
        self._accounts: OrderedDict[str, _Account] = OrderedDict()
        self._owners: OrderedDict[str, float] = OrderedDict()
        self._recoveries = 0
        self._open_at = -math.inf
        if not is_first:
            self.recover()

    def __len__(self) -> int:
        """Return the number of keys with something to count."""
        return len(self._accounts)

    def recover(self) -> None:
        """Begin anew, as after a restart: others may have granted permits of the keys that come."""
        self._accounts.clear()
        self._recoveries += 1
        self._open_at = self._clock() + self._window_s + self._lease_s

    def answer(self, owner: str, ask: PermitAsk) -> PermitAnswer:
        """Take note of what a process has spent and holds, and grant what it wants as far as that can be had.

        Safe to repeat: a question that was answered before, or was overtaken by a later one, changes nothing and is
        granted nothing.
        """
        now = self._clock()
        self._forget(now)
        self._owners[owner] = now
        self._owners.move_to_end(owner)
        account = self._account(ask, now)
        if account is None:
            return self._told(ask, 0, 0, self._window_s, is_static=True)
        account.expire(now, self._window_s)
        holding = account.holdings.setdefault(owner, _Holding())
        if ask.number <= holding.number:
            return self._told(ask, 0, 0, 0.0, is_static=now < self._open_at)
        self._note(account, holding, ask, now)
        if now < self._open_at:
            return self._told(ask, 0, 0, self._open_at - now, is_static=True)
        return self._grant(account, holding, ask, now)

    def _account(self, ask: PermitAsk, now: float) -> _Account | None:
        """Return the key's account, None where there are too many."""
        account = self._accounts.get(ask.key)
        if account is None:
            room = int(self._keys_max * _MINOR_PART) if ask.is_minor else self._keys_max
            if len(self._accounts) >= room:
                return None
            tick_s = 0.0 if ask.limit <= EXACT_MAX else TICK_S
            account = self._accounts[ask.key] = _Account(tick_s)
        account.asked_at = now
        self._accounts.move_to_end(ask.key)
        return account

    def _note(self, account: _Account, holding: _Holding, ask: PermitAsk, now: float) -> None:
        is_new = holding.number < 0
        untold = sum(count for _, count in ask.spent) if is_new else ask.spent_total - holding.spent_total
        for age_s, count in reversed(ask.spent):
            counted = min(count, untold)
            until = now - age_s + self._window_s
            if counted > 0 and until > now:
                account.window.add(counted, until)
            untold -= counted
        holding.number, holding.spent_total = ask.number, ask.spent_total
        holding.out, holding.lease_until = ask.held, now + self._lease_s

    def _grant(self, account: _Account, holding: _Holding, ask: PermitAsk, now: float) -> PermitAnswer:
        free = max(0, ask.limit - account.used)
        granted = min(ask.waiting, free)
        granted += self._ahead(ask, free - granted)
        holding.out += granted
        remaining = free - granted
        retry_in_s = 0.0
        if not remaining:
            frees_at = account.window.frees(max(1, account.used - ask.limit + 1))
            retry_in_s = (frees_at if frees_at is not None else holding.lease_until) - now
        return self._told(ask, granted, remaining, retry_in_s, is_static=False)

    def _ahead(self, ask: PermitAsk, free: int) -> int:
        """Return how many of the permits to lend before they are needed."""
        if ask.limit <= EXACT_MAX:
            return 0
        owners = len(self._owners)
        room = int(ask.limit * _AHEAD_PART) // owners - ask.held
        return max(0, min(ask.ahead, room, free // (2 * owners)))

    def _told(
        self, ask: PermitAsk, granted: int, remaining: int, retry_in_s: float, *, is_static: bool
    ) -> PermitAnswer:
        life = f"{self._life}/{self._recoveries}"
        return PermitAnswer(ask.number, granted, remaining, retry_in_s, len(self._owners), life, is_static)

    def _forget(self, now: float) -> None:
        """Forget keys and processes that nobody has heard of for so long that nothing of them counts."""
        silent_since = now - self._window_s - self._lease_s - TICK_S
        while self._accounts and next(iter(self._accounts.values())).asked_at < silent_since:
            self._accounts.popitem(last=False)
        while self._owners and next(iter(self._owners.values())) < silent_since:
            self._owners.popitem(last=False)
