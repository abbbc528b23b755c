"""The two phases of an attempt: begin, ask the processor, conclude (design: money moves once).

Intent is durable before the processor is called. The outcome is recorded on condition that the attempt is still
open; whoever loses that race answers with what was recorded. What this process cannot finish, the resolver does.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from enum import StrEnum
from functools import partial
from typing import Protocol

from actors.runtime.clock import Clock
from actors.runtime.errors import DeadlineExceeded, OutcomeUnknown, Overloaded, Unavailable
from serve_app.admission.ticket import AtProcessor
from serve_app.attempts.answer import Answer
from serve_app.attempts.conclusion import pending, record
from serve_app.attempts.intent import Intent
from serve_app.attempts.meter import AttemptMeter, Stage, Timed, Unmeasured
from serve_app.attempts.owned import OwnedWork
from serve_app.attempts.progress import Progress
from serve_app.attempts.repository import AttemptRepository, attempt_key
from serve_app.attempts.rows import ClaimKey, PaymentKey
from serve_app.attempts.sender import Processors, Sends, send
from serve_app.caching.changes import Change, Changes
from serve_app.domain.attempt import AttemptState, Outcome
from serve_app.domain.errors import ConcurrentChange
from serve_app.domain.idempotency import Claim
from serve_app.domain.ids import Prefix, public_id
from serve_app.domain.payment import Payment, holds

_TRIES_MAX = 20
"""How often a decision is made again for a payment that changed meanwhile; each try lost is another's success."""
_DATABASE_AWAY_MAX_S = 60.0
"""How long an outcome waits in memory for the database to come back; after that the resolver asks the processor."""
_ANSWER_WITHIN_S = 10.0
"""How long a request waits for an outcome to be recorded before it is answered that it is not known yet."""
_NOT_SENT = "not_sent"
_PASSING = (DeadlineExceeded, OutcomeUnknown, Overloaded, Unavailable)
"""Faults of the database that pass; what it rejects for ever is a defect and is raised."""


class KeyTaken(Exception):
    """The idempotency key was claimed by another attempt in the meantime."""


class Step(StrEnum):
    """A moment between two steps of an attempt: where a process can die, and a test makes it."""

    BEFORE_BEGIN = "before_begin"
    BEGUN = "begun"
    PROCESSOR_ANSWERED = "processor_answered"
    CONCLUDED = "concluded"


class PaymentReader(Protocol):
    """Reads payments as they are now."""

    async def find(self, key: PaymentKey) -> Payment | None:
        """Return the payment, None where the merchant has none of that id in that mode."""
        ...


class AttemptEngine:
    """Runs attempts from intent to answer. Its coroutines belong in tasks that outlive their requests."""

    def __init__(
        self,
        attempts: AttemptRepository,
        payments: PaymentReader,
        processors: Processors,
        owned: OwnedWork,
        changes: Changes,
        clock: Clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        passing: Callable[[Step], None] = lambda _: None,
        meter: AttemptMeter | None = None,
    ) -> None:
        self._passing = passing
        self._meter = meter or Unmeasured()
        self._owned = owned
        self._changes = changes
        self._attempts = attempts
        self._payments = payments
        self._processors = processors
        self._clock = clock
        self._sleep = sleep

    async def run_payment(self, intent: Intent, progress: Progress) -> Answer:
        """Begin a new payment and carry its authorization out.

        Raises:
            KeyTaken: another attempt has the key; nothing was stored.
            ProcessorUnavailable: it is not configured, or its circuit breaker is open; nothing was stored.
            DeadlineExceeded: it was too late to begin; nothing was stored.
            Unavailable: the database could not be reached; nothing was stored, or what was is taken back.
        """
        processor = self._processors.admit(intent)
        deadline = self._clock.monotonic() + intent.attempt.timeout_s
        change = self._changes.of_new(_payment_key(intent.payment))
        try:
            begun = await self._begun(intent, change, self._attempts.begin_payment, progress)
            if not begun and not await self._is_own(intent):
                raise KeyTaken
            progress.begun(partial(pending, intent))
            return await self._carry_out(intent, processor, deadline, change)
        finally:
            processor.give_back()
            await change.end_unknown()

    async def run_operation(
        self, key: PaymentKey, decide: Callable[[], Awaitable[Intent]], progress: Progress
    ) -> Answer:
        """Begin a capture, void or refund of a payment and carry it out.

        `decide` reads the payment and says what is intended; it is asked again when the payment changes meanwhile.

        Raises:
            KeyTaken: another attempt has the key; nothing was stored.
            ConcurrentChange: the payment kept changing; nothing was stored.
            ProcessorUnavailable: the payment's processor is not configured any more, or its circuit breaker is open;
                nothing was stored.
            DeadlineExceeded: it was too late to begin; nothing was stored.
            Unavailable: the database could not be reached; nothing was stored, or what was is taken back.
        """
        change = self._changes.of(key)
        try:
            return await self._run_operation(decide, change, progress)
        finally:
            await change.end_unknown()

    async def conclude(self, intent: Intent, outcome: Outcome) -> Answer:
        """Record the outcome and answer with it, or with what was recorded before.

        Raises:
            ConcurrentChange: the payment kept changing; the attempt is still open.
            Unavailable, OutcomeUnknown: the database or the cache is away; repeat.
        """
        change = self._changes.of(_payment_key(intent.payment))
        try:
            await change.begun()
            return await self._conclude(intent, outcome, change)
        finally:
            await change.end_unknown()

    async def _run_operation(
        self, decide: Callable[[], Awaitable[Intent]], change: Change, progress: Progress
    ) -> Answer:
        intent = await decide()
        for _ in range(_TRIES_MAX):
            processor = self._processors.admit(intent)
            deadline = self._clock.monotonic() + intent.attempt.timeout_s
            try:
                begun = await self._begun(intent, change, self._attempts.begin_operation, progress)
                if begun or await self._is_own(intent):
                    progress.begun(partial(pending, intent))
                    return await self._carry_out(intent, processor, deadline, change)
            finally:
                processor.give_back()
            if await self._key_is_taken(intent):
                raise KeyTaken
            intent = await decide()
        raise ConcurrentChange("payment", public_id(Prefix.PAYMENT, intent.payment.id))

    async def _conclude(self, intent: Intent, outcome: Outcome, change: Change) -> Answer:
        """Record the outcome within a change that has begun, and answer as `conclude` does.

        Raises:
            ConcurrentChange: the payment kept changing; the attempt is still open.
            Unavailable, OutcomeUnknown: the database is away; repeat.
        """
        for _ in range(_TRIES_MAX):
            if holds(intent.payment, intent.attempt):
                recorded = record(intent, outcome)
                if await self._attempts.conclude(recorded.row):
                    self._meter.concluded(recorded.payment, intent.attempt.amount)
                    await change.end(recorded.row.version, recorded.payment_json)
                    return recorded.answer
            answer = await self._recorded(intent)
            if answer is not None:
                return answer
            intent = await self._refreshed(intent)
        raise ConcurrentChange("payment", public_id(Prefix.PAYMENT, intent.payment.id))

    async def _carry_out(self, intent: Intent, processor: Sends, deadline: float, change: Change) -> Answer:
        self._passing(Step.BEGUN)
        with AtProcessor(), self._timed(Stage.PROCESSOR):
            outcome = await send(processor, intent, deadline=deadline, clock=self._clock, sleep=self._sleep)
        self._passing(Step.PROCESSOR_ANSWERED)
        if outcome is None:
            return await self._left_open(intent)
        answer = await self._concluded(intent, outcome, change)
        self._passing(Step.CONCLUDED)
        return answer

    async def _begun(
        self, intent: Intent, change: Change, begin: Callable[[Intent], Awaitable[bool]], progress: Progress
    ) -> bool:
        """Begin; where nobody knows whether it was stored, take it back, so that the key starts anew."""
        with self._timed(Stage.BEGIN):
            await change.begun()
            progress.begins()
            self._passing(Step.BEFORE_BEGIN)
            try:
                return await begin(intent)
            except OutcomeUnknown as unknown:
                self._owned.go_on(self._withdraw(intent))
                raise Unavailable("database", str(unknown), 1.0) from unknown

    def _timed(self, stage: Stage) -> Timed:
        return Timed(self._meter, stage, self._clock)

    async def _is_own(self, intent: Intent) -> bool:
        """Say whether this very attempt was stored, by a batch whose COMMIT was lost on the wire."""
        return await self._attempts.find_attempt(attempt_key(intent)) is not None

    async def _key_is_taken(self, intent: Intent) -> bool:
        if intent.claim is None:
            return False
        return await self._attempts.find_claim(_claim_key(intent.payment, intent.claim)) is not None

    async def _refreshed(self, intent: Intent) -> Intent:
        """Return the intent on the payment as it is now; what the attempt reserved is still in it."""
        payment = intent.payment
        current = await self._payments.find(_payment_key(payment))
        assert current is not None, "a payment is never deleted"
        return replace(intent, payment=current)

    async def _concluded(self, intent: Intent, outcome: Outcome, change: Change) -> Answer:
        """Conclude; while the database is away the outcome waits in memory, and the answer is that it is not known."""
        try:
            with self._timed(Stage.CONCLUDE):
                # A processor may take seconds: what the caches confirmed before may have lapsed.
                await change.begun()
                return await self._conclude(intent, outcome, change)
        except (*_PASSING, ConcurrentChange):
            await change.end_unknown()
            later = self._owned.go_on(self._conclude_later(intent, outcome))
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                return await asyncio.shield(later)
        except TimeoutError:
            return pending(intent)

    async def _conclude_later(self, intent: Intent, outcome: Outcome) -> Answer:
        give_up = self._clock.monotonic() + _DATABASE_AWAY_MAX_S
        while self._clock.monotonic() < give_up:
            await self._sleep(random.uniform(0.1, 0.5))
            try:
                return await self.conclude(intent, outcome)
            except (*_PASSING, ConcurrentChange):
                continue
        return pending(intent)

    async def _left_open(self, intent: Intent) -> Answer:
        """Leave it to the resolver; answer with the outcome all the same where a callback was quicker."""
        try:
            if not await self._attempts.mark_unknown(attempt_key(intent)):
                return await self._recorded(intent) or pending(intent)
        except _PASSING:
            pass  # The resolver finds it all the same, once its deadline has passed.
        return pending(intent)

    async def _recorded(self, intent: Intent) -> Answer | None:
        """Return what was recorded of an attempt that was begun, None while it is open."""
        stored = await self._attempts.find_attempt(attempt_key(intent))
        assert stored is not None, "an attempt that was begun is stored"
        if stored.state.is_open:
            return None
        assert stored.answer is not None, "a final attempt has its answer"
        return Answer(stored.state, intent.payment.id, stored.answer.encode(), stored.code)

    async def _withdraw(self, intent: Intent) -> None:
        """Take back an attempt that was perhaps stored and surely not sent."""
        key = attempt_key(intent)
        give_up = self._clock.monotonic() + intent.attempt.timeout_s
        while self._clock.monotonic() < give_up:
            try:
                if await self._attempts.find_attempt(key) is None:
                    return
                if intent.claim is not None:
                    await self._attempts.release_claim(_claim_key(intent.payment, intent.claim), key)
                await self.conclude(intent, Outcome(AttemptState.FAILED, self._clock.now(), code=_NOT_SENT))
                return
            except _PASSING:
                await self._sleep(random.uniform(0.1, 0.5))


def _payment_key(payment: Payment) -> PaymentKey:
    return PaymentKey(payment.merchant_id, payment.livemode, payment.id)


def _claim_key(payment: Payment, claim: Claim) -> ClaimKey:
    return ClaimKey(payment.merchant_id, payment.livemode, claim.key)
