"""The ring of cache shards as PostgreSQL keeps it."""

from __future__ import annotations

import itertools

import pytest

from actors.cache.sharding.stored import StoredRing
from actors.runtime.errors import Unavailable
from serve_app.caching.epochs import StoredEpochs
from serve_app.caching.rings import StoredRings
from tests.support.postgres import APP_ROLE, TestPostgres

_numbers = itertools.count(1)


@pytest.fixture
def gateway() -> str:
    """Return the name of a gateway that has no ring yet."""
    return f"gateway-{next(_numbers)}"


def _rings(postgres: TestPostgres, gateway: str) -> StoredRings:
    return StoredRings(lambda: postgres.url(APP_ROLE), gateway)


async def test_a_ring_begins_as_the_settings_say(postgres: TestPostgres, gateway: str) -> None:
    """Before that there is none; what was wanted since holds until the setting is another one."""
    rings = _rings(postgres, gateway)
    with pytest.raises(Unavailable):
        await rings.read()
    assert await rings.configure(2) == StoredRing(1, 2, None, 2)
    assert await rings.want(5) == StoredRing(1, 2, None, 5)
    assert await rings.configure(2) == StoredRing(1, 2, None, 5)
    assert await rings.configure(3) == StoredRing(1, 2, None, 3)
    assert await rings.read() == StoredRing(1, 2, None, 3)


async def test_each_step_is_done_once(postgres: TestPostgres, gateway: str) -> None:
    """Repeated, or by another keeper that is behind, it changes nothing and shows how things are."""
    rings = _rings(postgres, gateway)
    await rings.configure(2)
    await rings.want(3)
    changing = StoredRing(1, 2, 3, 3)
    assert [await rings.begin(1, 3), await rings.begin(1, 3), await rings.begin(1, 4)] == [changing] * 3
    assert await rings.want(1) == StoredRing(1, 2, 3, 1)
    changed = StoredRing(2, 3, None, 1)
    assert [await rings.activate(1), await rings.activate(1), await rings.activate(2)] == [changed] * 3
    assert await rings.begin(1, 1) == changed


async def test_what_redis_held_before_there_was_a_ring_is_left(postgres: TestPostgres, gateway: str) -> None:
    """Nobody knows by which ring it was cached; once there is one, a start leaves nothing."""
    epochs = StoredEpochs(lambda: postgres.url(APP_ROLE), f"{gateway}/cache-shard-0")
    stranger = StoredEpochs(lambda: postgres.url(APP_ROLE), f"{gateway}0/cache-shard-0")
    before, other = (await epochs.take()).namespace, (await stranger.take()).namespace
    rings = _rings(postgres, gateway)
    await rings.configure(2)
    assert (await epochs.take()).namespace == before + 1
    await rings.configure(2)
    await rings.configure(3)
    assert (await epochs.take()).namespace == before + 1
    await rings.switch_off()
    assert (await epochs.take()).namespace == before + 2
    assert (await stranger.take()).namespace == other
