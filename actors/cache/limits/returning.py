"""Gives permits back that a process has left when it ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from actors.cache.limits.messages import ASKS_MAX, PermitAsk, PermitShard
from actors.runtime.errors import ActorError

WITHIN_S = 1.0

_logger = logging.getLogger(__name__)


class Return(NamedTuple):
    """What tells a shard that nothing is held of a key any more, and how many permits it gets back by that."""

    ask: PermitAsk
    held: int


async def give_back(returns: Mapping[PermitShard, Sequence[Return]]) -> int:
    """Tell the shards within ``WITHIN_S``; return how many permits they are known to have back.

    A shard that does not answer takes the rest for spent once their lease has run out: that is logged.
    """
    return sum(await asyncio.gather(*(_to(shard, given) for shard, given in returns.items())))


async def _to(shard: PermitShard, given: Sequence[Return]) -> int:
    had_back = 0
    try:
        async with asyncio.timeout(WITHIN_S):
            for first in range(0, len(given), ASKS_MAX):
                batch = given[first : first + ASKS_MAX]
                await shard.permits([each.ask for each in batch])
                had_back += sum(each.held for each in batch)
    except (ActorError, TimeoutError) as away:
        _logger.warning("some permits of %d keys could not be given back: %s", len(given), repr(away))
    return had_back
