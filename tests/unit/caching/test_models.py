"""What the models declare is what the code does."""

from __future__ import annotations

from uuid import UUID

import pytest

from actors.cache.client import Loaded
from actors.cache.second_level import TTL_MIN_S
from serve_app.caching import models
from serve_app.caching.models import KEY_USAGE, MODELS, REDIS_MODELS, Level, Model, Strategy, key_id_of, key_usage_name
from serve_app.caching.reader import CachedReads
from serve_app.write_behind import APPLIERS

_ALL = [value for value in vars(models).values() if isinstance(value, Model)]


def test_what_is_written_behind_has_an_applier() -> None:
    """And nothing else has one, nor is it read through the cache."""
    behind = {model.name for model in _ALL if model.strategy is Strategy.WRITE_BEHIND}
    assert behind == set(APPLIERS) == {KEY_USAGE.name}
    assert set(MODELS) == {model.name for model in _ALL} - behind


@pytest.mark.parametrize("model", _ALL, ids=lambda model: model.name)
def test_levels_are_of_a_kind_that_there_is(model: Model) -> None:
    """Whatever is held is held at the shard; and Redis holds nothing that is over too soon."""
    assert model.levels == Level(0) or Level.SHARD in model.levels
    assert (model.levels == Level(0)) == (model.strategy is Strategy.WRITE_BEHIND)
    assert (model.name in REDIS_MODELS) == (Level.REDIS in model.levels)
    if Level.REDIS in model.levels:
        assert model.ttl_s >= TTL_MIN_S


@pytest.mark.parametrize("model", _ALL, ids=lambda model: model.name)
async def test_a_model_is_read_as_it_is_declared(model: Model) -> None:
    """What is held near is read alone, what the shard alone holds is read as a page, the rest not at all."""
    reads = CachedReads(None)

    async def one() -> Loaded:
        return Loaded(b"one", 1)

    async def page() -> bytes:
        return b"page"

    if Level.NEAR in model.levels:
        assert await reads.one(model, "name", one) == b"one"
    else:
        with pytest.raises(AssertionError):
            await reads.one(model, "name", one)
    if model.levels == Level.SHARD:
        assert await reads.page(model, "name", "tag", page) == b"page"
    else:
        with pytest.raises(AssertionError):
            await reads.page(model, "name", "tag", page)


def test_a_key_is_found_in_the_name_of_its_uses() -> None:
    """The name begins with the model's."""
    key_id = UUID(int=7)
    assert key_usage_name(key_id).startswith(f"{KEY_USAGE.name}:")
    assert key_id_of(key_usage_name(key_id)) == key_id
