"""Operators' sessions where the browser keeps them, and what both kinds have in common."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from actors.cache.level2.sealing import Sealer
from serve_app.console.sealed_sessions import SHORTER, SealedSessions
from serve_app.console.session import IDLE_S, LIFETIME_S, Session, decode, encode

_DIGEST = "ab" * 32


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> SealedSessions:
    """Return sessions without Redis."""
    return SealedSessions(Sealer(os.urandom(32)), clock)


def test_a_session_is_over_after_idleness_or_its_lifetime() -> None:
    """Whichever comes first; a use moves the one and not the other."""
    session = Session(_DIGEST, 0.0, 0.0)
    assert not session.is_over(IDLE_S - 1)
    assert session.is_over(IDLE_S)
    assert not session.used(IDLE_S - 1).is_over(2 * IDLE_S - 2)
    assert session.used(LIFETIME_S - 1).is_over(LIFETIME_S)


def test_what_is_stored_is_read_again() -> None:
    """And a form that this version does not know is no session."""
    session = Session(_DIGEST, 1.5, 2.5)
    assert decode(encode(session)) == session
    assert decode(b'{"key": 1}') is None
    assert decode(b"no json") is None


async def test_every_replica_knows_a_token(clock: Clock) -> None:
    """All that it takes is the key."""
    key = os.urandom(32)
    token = await SealedSessions(Sealer(key), clock).begin(_DIGEST)
    found = await SealedSessions(Sealer(key), clock).find(token)
    assert found == Session(_DIGEST, clock.now, clock.now)


async def test_a_token_does_not_tell_what_is_in_it(sessions: SealedSessions) -> None:
    """Nor are two of one key alike."""
    tokens = {await sessions.begin(_DIGEST) for _ in range(2)}
    assert len(tokens) == 2
    assert not any(_DIGEST in token for token in tokens)


async def test_what_nobody_sealed_is_no_session(sessions: SealedSessions) -> None:
    """Changed, cut, of another gateway, or no token at all."""
    token = await sessions.begin(_DIGEST)
    middle = len(token) // 2
    changed = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
    foreign = await SealedSessions(Sealer(os.urandom(32)), Clock()).begin(_DIGEST)
    for text in (changed, token[:-8], foreign, "", "é", "a" * 10_000, "!!"):
        assert await sessions.find(text) is None, text


async def test_a_token_has_one_spelling(sessions: SealedSessions) -> None:
    """One more sign, or the other alphabet, and it is none: what is kept by the token is kept once."""
    token = await sessions.begin(_DIGEST)
    assert await sessions.find(token) is not None
    for text in (f"{token}!", f"{token[:8]} {token[8:]}", f"{token}=", f"{token}\n"):
        assert await sessions.find(text) is None, text


async def test_one_without_redis_is_over_sooner(sessions: SealedSessions, clock: Clock) -> None:
    """For nobody remembers that it was ended."""
    token = await sessions.begin(_DIGEST)
    clock.now += IDLE_S / SHORTER - 1
    used = await sessions.use(token)
    assert used is not None
    clock.now += 2
    assert await sessions.find(token) is None
    assert await sessions.find(used) is not None


async def test_uses_do_not_make_it_last_for_ever(sessions: SealedSessions, clock: Clock) -> None:
    """Its lifetime counts from its beginning."""
    token: str | None = await sessions.begin(_DIGEST)
    uses = 0
    while token is not None:
        clock.now += IDLE_S / SHORTER - 1
        token, uses = await sessions.use(token), uses + 1
    assert (uses - 1) * (IDLE_S / SHORTER - 1) < LIFETIME_S / SHORTER
    assert uses > 2


def test_sessions_say_when_they_end() -> None:
    """The page's cookie lasts no longer."""
    session = Session(_DIGEST, 0.0, 0.0)
    assert session.ends_at == IDLE_S
    assert replace(session, used_at=LIFETIME_S).ends_at == LIFETIME_S
