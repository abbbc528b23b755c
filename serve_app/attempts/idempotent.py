"""Gives every request with one idempotency key one answer.

A request whose key runs in this process joins it; one whose key was claimed elsewhere is answered from what is
stored, or waits for it. Waiting is bounded in time and number, and costs no connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from actors.runtime.clock import Clock
from actors.runtime.errors import DeadlineExceeded
from serve_app.admission.ticket import wait_outside
from serve_app.attempts.answer import Answer
from serve_app.attempts.engine import KeyTaken
from serve_app.attempts.owned import OwnedWork
from serve_app.attempts.progress import Progress
from serve_app.attempts.repository import AttemptRepository, StoredClaim
from serve_app.attempts.rows import ClaimKey, PaymentKey
from serve_app.caching.changes import Changes
from serve_app.domain.attempt import AttemptState
from serve_app.domain.errors import IdempotencyInProgress, IdempotencyMismatch

_POLL_FIRST_S, _POLL_MAX_S = 0.02, 0.25
_RETRY_AFTER_S = 1.0

Run = Callable[[Progress], Coroutine[Any, Any, Answer]]
Current = Callable[[StoredClaim], Awaitable[bytes]]
"""Shows the object of an attempt whose outcome is not known yet, as JSON."""


@dataclass(frozen=True, slots=True)
class WaitingLimits:
    """How many requests may wait for another's answer, in all and for one key, and for how long."""

    waiters_max: int = 512
    waiters_per_key_max: int = 64
    wait_s: float = 20.0


@dataclass(slots=True)
class _Running:
    """A key that this process is working on, and how many requests wait for it."""

    fingerprint: bytes
    task: asyncio.Task[Answer]
    progress: Progress
    waiters: int = 0


class IdempotentRequests:
    """Runs the first request of a key in a task of its own, and lets the others share its answer."""

    def __init__(
        self,
        attempts: AttemptRepository,
        owned: OwnedWork,
        changes: Changes,
        clock: Clock,
        limits: WaitingLimits | None = None,
    ) -> None:
        self._attempts = attempts
        self._changes = changes
        self._owned = owned
        self._clock = clock
        self._limits = limits or WaitingLimits()
        self._running: dict[ClaimKey, _Running] = {}
        self._waiters = 0

    async def answer(
        self, key: ClaimKey | None, fingerprint: bytes, run: Run, current: Current, *, look_first: bool
    ) -> Answer:
        """Answer a request: run it, join it, or replay it.

        `look_first` reads the stored claim before running, for operations whose state check would otherwise refuse
        a repeat; a new payment finds out by its own insert.

        Raises:
            IdempotencyMismatch: the key stands for another request.
            IdempotencyInProgress: no answer within the time, or too many wait.
            Overloaded: too much runs already; nothing was stored.
            DeadlineExceeded: the request's time was over before it began; nothing was stored.
        """
        progress = Progress(self._clock)
        if key is None:
            return await self._heard(key, _Running(fingerprint, self._owned.start(run(progress)), progress))
        running = self._running.get(key)
        if running is not None:
            return await self._join(key, running, fingerprint, progress.left_s)
        task = self._owned.start(self._run_or_replay(key, fingerprint, run, current, look_first, progress))
        running = self._running[key] = _Running(fingerprint, task, progress)
        task.add_done_callback(lambda _: self._forget(key, running))
        return await self._heard(key, running)

    def _forget(self, key: ClaimKey, running: _Running) -> None:
        """Let the next request of this key run anew."""
        if self._running.get(key) is running:
            del self._running[key]

    async def _heard(self, key: ClaimKey | None, running: _Running) -> Answer:
        """Wait for the answer; whoever stops waiting before anything has begun calls it off, unless others wait too."""
        try:
            return await running.progress.heard_of(running.task)
        except (DeadlineExceeded, asyncio.CancelledError):
            if running.progress.may_be_cancelled and not running.waiters:
                running.task.cancel()
                if key is not None:
                    self._forget(key, running)
            raise

    async def _run_or_replay(
        self,
        key: ClaimKey,
        fingerprint: bytes,
        run: Run,
        current: Current,
        look_first: bool,
        progress: Progress,
    ) -> Answer:
        if look_first:
            stored = await self._attempts.find_claim(key)
            if stored is not None:
                return await self._stored_answer(key, stored, fingerprint, current, progress)
        try:
            return await run(progress)
        except KeyTaken:
            stored = await self._attempts.find_claim(key)
            if stored is None:
                raise IdempotencyInProgress(key.key, _RETRY_AFTER_S) from None
            return await self._stored_answer(key, stored, fingerprint, current, progress)

    async def _join(self, key: ClaimKey, running: _Running, fingerprint: bytes, left_s: float) -> Answer:
        if running.fingerprint != fingerprint:
            raise IdempotencyMismatch(key.key)
        limits = self._limits
        if running.waiters >= limits.waiters_per_key_max or self._waiters >= limits.waiters_max:
            raise IdempotencyInProgress(key.key, _RETRY_AFTER_S)
        running.waiters += 1
        self._waiters += 1
        wait_outside()
        try:
            async with asyncio.timeout(min(limits.wait_s, left_s)):
                return replace(await asyncio.shield(running.task), replayed=True)
        except TimeoutError:
            raise IdempotencyInProgress(key.key, _RETRY_AFTER_S) from None
        finally:
            running.waiters -= 1
            self._waiters -= 1

    async def _stored_answer(
        self, key: ClaimKey, stored: StoredClaim, fingerprint: bytes, current: Current, progress: Progress
    ) -> Answer:
        """Replay the stored answer, or wait for it while the attempt runs elsewhere."""
        if stored.fingerprint != fingerprint:
            raise IdempotencyMismatch(key.key)
        give_up = self._clock.monotonic() + min(self._limits.wait_s, progress.left_s)
        poll_s = _POLL_FIRST_S
        while stored.state is AttemptState.STARTED:
            wait_outside()
            if self._clock.monotonic() >= give_up:
                raise IdempotencyInProgress(key.key, _RETRY_AFTER_S)
            await asyncio.sleep(poll_s)
            poll_s = min(_POLL_MAX_S, poll_s * 2)
            found = await self._attempts.find_claim(key)
            if found is None:  # It was taken back: the next try starts anew.
                raise IdempotencyInProgress(key.key, _RETRY_AFTER_S)
            stored = found
        await self._published(PaymentKey(key.merchant_id, key.livemode, stored.payment_id))
        body = stored.answer.encode() if stored.answer is not None else await current(stored)
        return Answer(stored.state, stored.payment_id, body, stored.code, replayed=True)

    async def _published(self, payment: PaymentKey) -> None:
        """See to it that no cache holds what was before this answer: whoever committed it may have died since."""
        change = self._changes.of(payment)
        try:
            await change.begun()
        finally:
            await change.end_unknown()
