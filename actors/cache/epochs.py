"""What a shard must not forget: how often it has started, and where in Redis its values are."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Epoch(NamedTuple):
    """``incarnation`` rises with every start of the shard, ``namespace`` whenever Redis cannot be trusted any more.

    ``redis`` is the identity of the servers on which the namespace was begun, ``reign`` the reign of the cluster in
    which it was filled: what it holds is to be left in any other.
    """

    incarnation: int
    namespace: int
    redis: str
    reign: int | None = None


class Epochs(Protocol):
    """The epochs of one shard, kept where they outlive it and Redis. Calls raise ``Unavailable``."""

    async def take(self) -> Epoch:
        """Begin an incarnation. When repeated, one number was for nothing."""
        ...

    async def move(self, redis: str) -> Epoch:
        """Leave the namespace, for ever, for a new one on these servers. When repeated, one number was for nothing."""
        ...

    async def begin_reign(self, number: int) -> None:
        """Note that the namespace is filled in this reign from now on: it is empty, or was filled in the same."""
        ...
