"""Questions over the real channel, as they are sent between processes."""

from __future__ import annotations

import random

import pytest

from actors.cache.limits.messages import PermitAsk
from actors.cache.messages import NoSession, Welcome
from actors.cache.sharding.stored import shard_names
from actors.runtime.channel import Channel
from tests.unit.cache.simulated_ring import SimulatedRings
from tests.unit.cache.simulation import SimulatedShard, plain_shard

_ASK = PermitAsk("limit:a", 10, 1, 3, ((0.5, 3),), 0, 4, 0)


async def test_a_shard_answers_questions_of_its_sessions_alone() -> None:
    """In order; and a session is that of one process, by which its permits are told from others'."""
    [name] = shard_names(1)
    draw = random.Random(1)
    place = SimulatedShard(name, plain_shard, draw, SimulatedRings(draw, 1))
    place.run()
    shard = place.shard
    assert shard is not None
    channel = Channel(name, shard.address)
    try:
        welcome: Welcome = await channel.call("open_session", "process a", 1, timeout_s=5)
        answers = await channel.call("permits", welcome.session, [_ASK, _ASK._replace(key="limit:b")], timeout_s=5)
        assert [(answer.granted, answer.remaining) for answer in answers] == [(4, 3), (4, 3)]
        assert not answers[0].is_static
        [repeated] = await channel.call("permits", welcome.session, [_ASK], timeout_s=5)
        assert repeated.granted == 0
        with pytest.raises(NoSession):
            await channel.call("permits", welcome.session + 1, [_ASK], timeout_s=5)
    finally:
        channel.close()
        assert shard._server is not None
        await shard._server.close()
        place.end()
