"""What was perhaps stored and surely not sent is taken back, and its key starts anew."""

from __future__ import annotations

import pytest

from actors.pool.database import Database
from actors.runtime.clock import SystemClock
from actors.runtime.errors import OutcomeUnknown, Unavailable
from serve_app.attempts.answer import Answer
from serve_app.attempts.engine import AttemptEngine
from serve_app.attempts.intent import Intent
from serve_app.attempts.owned import OwnedWork
from serve_app.attempts.progress import Progress
from serve_app.attempts.repository import AttemptRepository
from serve_app.attempts.rows import ClaimKey
from serve_app.attempts.sender import Processors
from serve_app.caching.changes import Changes
from serve_app.domain.attempt import Attempt, AttemptKind, AttemptState
from serve_app.domain.idempotency import Claim
from serve_app.domain.ids import new_id
from serve_app.payments.repository import PaymentRepository
from serve_app.processors.guarded import Guarded
from serve_app.processors.simulator import Simulator
from tests.support.gateway_services import owner
from tests.support.postgres import APP_ROLE, TestPostgres
from tests.unit.domain.builders import new_payment


class LosesFirstCommit(AttemptRepository):
    """Stores the first payment and says that it does not know."""

    lost = False

    async def begin_payment(self, intent: Intent) -> bool:
        stored = await super().begin_payment(intent)
        if not self.lost:
            self.lost = True
            raise OutcomeUnknown("begin_payments", "the connection was lost")
        return stored


def _intent(merchant_id: object, claim: Claim) -> Intent:
    attempt = Attempt(new_id(), AttemptKind.AUTHORIZE, 1000, True, "simulator", 5.0)
    payment = new_payment(merchant_id=merchant_id, pending_attempt=attempt.id)
    return Intent(payment, attempt, owner(payment.merchant_id, new_id()).requester, claim)


async def test_a_lost_begin_is_withdrawn_and_its_key_starts_anew(postgres: TestPostgres) -> None:
    """The request is answered that nothing was stored; soon that is true, and the repeat takes the money once."""
    database = await Database.open(postgres.url(APP_ROLE), name="tests", manager=None, want=4)
    attempts, payments, owned = LosesFirstCommit(database), PaymentRepository(database), OwnedWork(10)
    engine = AttemptEngine(
        attempts, payments, Processors(Guarded(Simulator()), None), owned, Changes(None), SystemClock()
    )
    merchant_id, claim = new_id(), Claim(new_id().hex, b"f" * 16)
    first = _intent(merchant_id, claim)
    with pytest.raises(Unavailable):
        await engine.run_payment(first, Progress(SystemClock()))
    assert await owned.drain(10) == 0
    assert await attempts.find_claim(ClaimKey(first.payment.merchant_id, False, claim.key)) is None
    answer: Answer = await engine.run_payment(_intent(merchant_id, claim), Progress(SystemClock()))
    assert answer.state is AttemptState.SUCCEEDED
    await database.close()


async def test_a_batch_that_ran_twice_goes_on(postgres: TestPostgres) -> None:
    """An attempt that finds its own row, stored by a COMMIT that was lost on the wire, is carried out."""
    database = await Database.open(postgres.url(APP_ROLE), name="tests", manager=None, want=4)
    attempts, payments = AttemptRepository(database), PaymentRepository(database)
    engine = AttemptEngine(
        attempts, payments, Processors(Guarded(Simulator()), None), OwnedWork(10), Changes(None), SystemClock()
    )
    intent = _intent(new_id(), Claim(new_id().hex, b"f" * 16))
    assert await attempts.begin_payment(intent)
    assert (await engine.run_payment(intent, Progress(SystemClock()))).state is AttemptState.SUCCEEDED
    await database.close()
