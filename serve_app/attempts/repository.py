"""Attempts in PostgreSQL: each hot statement takes arrays, and concurrent requests share its batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter
from typing import Any
from uuid import UUID

from actors.pool.database import Database
from actors.pool.statement import BatchStatement
from actors.runtime.errors import RowRejected
from actors.runtime.tracing import traceparent
from serve_app.attempts.intent import Intent
from serve_app.attempts.rows import (
    AttemptKey,
    BeginOperationRow,
    BeginPaymentRow,
    ClaimKey,
    ConcludeRow,
    OpenKey,
    PostponeRow,
)
from serve_app.domain.attempt import AttemptKind, AttemptState
from serve_app.storage.json_text import encode_metadata
from serve_app.storage.statements import load_statements

_UNIQUE_VIOLATION = "23505"


@dataclass(frozen=True, slots=True)
class StoredClaim:
    """What an idempotency key stands for. `answer` is the object's JSON once the attempt is final."""

    fingerprint: bytes
    payment_id: UUID
    attempt_id: UUID
    refund_id: UUID | None
    state: AttemptState
    code: str | None
    answer: str | None


@dataclass(frozen=True, slots=True)
class StoredAttempt:
    """How far an attempt is. `answer` is the object's JSON once it is final."""

    state: AttemptState
    code: str | None
    answer: str | None


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """An attempt whose outcome is not known yet, as the resolver reads it."""

    key: AttemptKey
    livemode: bool
    kind: AttemptKind
    amount: int
    capture: bool
    processor: str
    refund_id: UUID | None
    request_id: str
    key_id: UUID


class AttemptRepository:
    """Reads and writes attempts, their claims and all that an outcome changes.

    Every write is repeatable: a row names its attempt, so a batch whose COMMIT was lost can run again.
    """

    def __init__(self, database: Database, poke: Callable[[], None] = lambda: None) -> None:
        """`poke` is called after each conclusion for which tasks were enqueued."""
        sql = load_statements("serve_app.attempts")
        self._database = database
        self._poke = poke
        self._overdue_sql = sql["list_overdue"]
        by_payment = itemgetter(0, 1)
        self._begin_payments = database.committer(
            BatchStatement[BeginPaymentRow, bool](
                name="begin_payments",
                sql=sql["begin_payments"],
                result=lambda row: bool(row["accepted"]),
                key=None,
            )
        )
        self._begin_operations = database.committer(
            BatchStatement[BeginOperationRow, bool](
                name="begin_operations", sql=sql["begin_operations"], result=_found, key=by_payment
            )
        )
        self._conclude = database.committer(
            BatchStatement[ConcludeRow, bool](
                name="conclude", sql=sql["conclude"], result=itemgetter("queued"), key=by_payment
            )
        )
        self._find_claims = database.committer(
            BatchStatement[ClaimKey, StoredClaim](
                name="find_claims", sql=sql["find_claims"], result=_stored_claim, key=None, writes=False
            )
        )
        self._find_attempts = database.committer(
            BatchStatement[AttemptKey, StoredAttempt](
                name="find_attempts", sql=sql["find_attempts"], result=_stored_attempt, key=None, writes=False
            )
        )
        self._find_open = database.committer(
            BatchStatement[OpenKey, OpenAttempt](
                name="find_open", sql=sql["find_open"], result=_open_attempt, key=None, writes=False
            )
        )
        self._mark_unknown = database.committer(
            BatchStatement[AttemptKey, bool](
                name="mark_unknown", sql=sql["mark_unknown"], result=_found, key=itemgetter(0, 1, 2)
            )
        )
        self._postpone = database.committer(
            BatchStatement[PostponeRow, bool](
                name="postpone", sql=sql["postpone"], result=_found, key=itemgetter(0, 1, 2)
            )
        )
        self._release_sql = sql["release_claim"]

    async def begin_payment(self, intent: Intent) -> bool:
        """Record a new payment and its attempt; False where its key was claimed by another attempt, or by this very
        one in a batch whose COMMIT was lost.

        Raises:
            Unavailable: the database could not be reached; nothing was stored.
            OutcomeUnknown: it may have been stored.
        """
        try:
            return await self._begin_payments.submit(_begin_payment_row(intent)) or False
        except RowRejected as rejected:
            # The payment's own id is taken: by itself, in a batch that ran twice.
            if rejected.sqlstate == _UNIQUE_VIOLATION:
                return True
            raise

    async def begin_operation(self, intent: Intent) -> bool:
        """Reserve what a capture, void or refund needs and record its attempt; False where the payment changed since
        it was read, or the key was claimed: by another attempt, or by this very one in a batch that ran twice.

        Raises:
            Unavailable: the database could not be reached; nothing was stored.
            OutcomeUnknown: it may have been stored.
        """
        try:
            return await self._begin_operations.submit(_begin_operation_row(intent)) or False
        except RowRejected as rejected:
            if rejected.sqlstate == _UNIQUE_VIOLATION:
                return False
            raise

    async def conclude(self, row: ConcludeRow) -> bool:
        """Record an outcome; False where the attempt was concluded before or the payment changed since it was read."""
        trace = traceparent()
        queued = await self._conclude.submit(row if trace is None else row._replace(trace=trace.encode()))
        if queued:
            self._poke()
        return queued is not None

    async def find_claim(self, key: ClaimKey) -> StoredClaim | None:
        """Return what a key stands for, None where it is free."""
        return await self._find_claims.submit(key)

    async def find_attempt(self, key: AttemptKey) -> StoredAttempt | None:
        """Return how far an attempt is, None where it was never begun."""
        return await self._find_attempts.submit(key)

    async def find_open(self, processor: str, attempt_id: UUID) -> OpenAttempt | None:
        """Return the attempt of that id at that processor while its outcome is not known, None where there is none."""
        return await self._find_open.submit(OpenKey(processor, attempt_id))

    async def mark_unknown(self, key: AttemptKey) -> bool:
        """Leave an attempt that was sent and not answered to the resolver, at once; False where it is not started."""
        return await self._mark_unknown.submit(key) or False

    async def postpone(self, key: AttemptKey, delay_s: float) -> None:
        """Let the resolver ask about an open attempt again after `delay_s`."""
        await self._postpone.submit(PostponeRow(*key, delay_s))

    async def release_claim(self, claim: ClaimKey, attempt: AttemptKey) -> None:
        """Free the key of an attempt that was never sent, so that the same request starts anew."""
        await self._database.execute(self._release_sql, *claim, attempt.payment_id, attempt.attempt_id)

    async def list_overdue(self, limit: int) -> list[OpenAttempt]:
        """Return open attempts whose deadline has passed, longest overdue first."""
        return [_open_attempt(row) for row in await self._database.fetch(self._overdue_sql, limit)]


def attempt_key(intent: Intent) -> AttemptKey:
    """Return the key of the intent's attempt."""
    return AttemptKey(intent.payment.merchant_id, intent.payment.id, intent.attempt.id)


def _begin_payment_row(intent: Intent) -> BeginPaymentRow:
    payment, attempt, claim = intent.payment, intent.attempt, intent.claim
    return BeginPaymentRow(
        payment.merchant_id, payment.id, attempt.id, payment.livemode, payment.amount, payment.currency,
        payment.token, payment.brand, payment.last4, payment.processor, payment.description, payment.customer,
        encode_metadata(payment.metadata), attempt.capture, attempt.timeout_s,
        intent.requester.request_id, intent.requester.key_id,
        claim.key if claim else None, claim.fingerprint if claim else None, payment.created_at,
    )  # fmt: skip


def _begin_operation_row(intent: Intent) -> BeginOperationRow:
    payment, attempt, claim, refund = intent.payment, intent.attempt, intent.claim, intent.refund
    return BeginOperationRow(
        payment.merchant_id, payment.id, attempt.id, payment.livemode, payment.version,
        payment.amount_refund_pending, payment.pending_attempt, attempt.kind.value, attempt.amount,
        attempt.processor, attempt.timeout_s, intent.requester.request_id, intent.requester.key_id,
        claim.key if claim else None, claim.fingerprint if claim else None,
        refund.id if refund else None, payment.currency, refund.reason if refund else None, payment.updated_at,
    )  # fmt: skip


def _found(_row: Any) -> bool:
    return True


def _stored_claim(row: Any) -> StoredClaim:
    return StoredClaim(
        fingerprint=row["fingerprint"],
        payment_id=row["payment_id"],
        attempt_id=row["attempt_id"],
        refund_id=row["refund_id"],
        state=AttemptState(row["state"]),
        code=row["code"],
        answer=row["data"],
    )


def _stored_attempt(row: Any) -> StoredAttempt:
    return StoredAttempt(AttemptState(row["state"]), row["code"], row["data"])


def _open_attempt(row: Any) -> OpenAttempt:
    return OpenAttempt(
        key=AttemptKey(row["merchant_id"], row["payment_id"], row["attempt_id"]),
        livemode=row["livemode"],
        kind=AttemptKind(row["kind"]),
        amount=row["amount"],
        capture=row["capture"],
        processor=row["processor"],
        refund_id=row["refund_id"],
        request_id=row["request_id"],
        key_id=row["key_id"],
    )
