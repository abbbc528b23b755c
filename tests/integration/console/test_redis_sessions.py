"""Operators' sessions in a real Redis."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from actors.cache.level2.sealing import Sealer
from actors.cache.level2.server import RedisServer
from serve_app.console.redis_sessions import PREFIX, RedisSessions
from serve_app.console.session import IDLE_S, LIFETIME_S, Session, SessionsAway
from tests.support.redis_servers import TestRedis

_DIGEST = "ab" * 32
_KEY = os.urandom(32)


class Clock:
    """Seconds that a test moves; Redis has its own."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


@pytest.fixture
async def sessions(redis: TestRedis, clock: Clock) -> AsyncIterator[RedisSessions]:
    """Return the sessions of one replica."""
    redis.ask("FLUSHALL")
    opened = RedisSessions(RedisServer(redis.url, deadline_s=5.0), Sealer(_KEY), clock)
    yield opened
    await opened.close()


async def test_every_replica_knows_a_session(sessions: RedisSessions, redis: TestRedis, clock: Clock) -> None:
    """And once one of them has ended it, none does."""
    other = RedisSessions(RedisServer(redis.url, deadline_s=5.0), Sealer(_KEY), clock)
    token = await sessions.begin(_DIGEST)
    assert await other.find(token) == Session(_DIGEST, clock.now, clock.now)
    await sessions.end(token)
    await sessions.end(token)
    assert await other.find(token) is None
    assert await other.use(token) is None
    await other.close()


async def test_redis_learns_neither_token_nor_key(sessions: RedisSessions, redis: TestRedis) -> None:
    """What lies there opens no session, and under another name it is none."""
    token = await sessions.begin(_DIGEST)
    (name,) = redis.ask("KEYS", "*")
    stored = redis.ask("GET", name)
    assert name.decode().startswith(PREFIX)
    assert token not in name.decode()
    assert bytes.fromhex(_DIGEST) not in stored
    assert _DIGEST.encode() not in stored
    other = await sessions.begin("cd" * 32)
    names = set(redis.ask("KEYS", "*")) - {name}
    redis.ask("SET", names.pop(), stored)
    assert await sessions.find(other) is None


async def test_it_runs_out_by_itself(sessions: RedisSessions, redis: TestRedis, clock: Clock) -> None:
    """In Redis after the idle time; by its lifetime also where Redis still has it."""
    token = await sessions.begin(_DIGEST)
    (name,) = redis.ask("KEYS", "*")
    assert IDLE_S - 60 < redis.ask("PTTL", name) / 1000 <= IDLE_S
    uses = 0
    while await sessions.use(token):
        clock.now += IDLE_S / 2
        uses += 1
    assert (uses - 1) * IDLE_S / 2 < LIFETIME_S <= uses * IDLE_S / 2
    assert redis.ask("GET", name) is not None


@pytest.mark.parametrize("token", ["", "a" * 42, "a" * 44, "é" * 43, "a" * 42 + "*"])
async def test_what_cannot_be_a_token_is_not_asked_about(sessions: RedisSessions, token: str) -> None:
    """It is no session."""
    assert await sessions.find(token) is None
    await sessions.end(token)


async def test_that_redis_is_away_is_told(clock: Clock) -> None:
    """By each call, within its deadline; and when it is back the session is still there."""
    server = TestRedis()
    server.start()
    sessions = RedisSessions(RedisServer(server.url, deadline_s=5.0), Sealer(_KEY), clock)
    try:
        token = await sessions.begin(_DIGEST)
        server.pause()
        for call in (sessions.begin(_DIGEST), sessions.find(token), sessions.use(token), sessions.end(token)):
            with pytest.raises(SessionsAway):
                await call
    finally:
        await sessions.close()
        server.resume()
        server.remove()
