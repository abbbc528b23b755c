"""What a shard must not forget: how often it has started, and where in Redis its values are."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Epoch(NamedTuple):
    """``incarnation`` rises with every start of the shard, ``namespace`` whenever Redis cannot be trusted any more."""

    incarnation: int
    namespace: int


class Epochs(Protocol):
    """The epochs of one shard, kept where they outlive it and Redis. Calls raise ``Unavailable`` and can be repeated."""

    async def take(self) -> Epoch:
        """Begin an incarnation. When repeated, one number was for nothing."""
        ...

    async def move(self) -> Epoch:
        """Leave the namespace, for ever. When repeated, one number was for nothing."""
        ...
