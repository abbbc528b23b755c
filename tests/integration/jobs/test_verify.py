"""Verification on a real PostgreSQL: it finds what was planted, and nothing in what the gateway made."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

from actors.runtime.clock import SystemClock
from serve_app.batch.runs import NumberedFinding, Run, RunRepository
from serve_app.caching.changes import Changes
from serve_app.domain.ids import Prefix, new_id
from serve_app.domain.settlement import FeeSchedule
from serve_app.payments.service import Change
from serve_app.settlements.repository import SettlementRepository
from serve_app.settlements.service import SettlementService
from serve_app.verification.repository import VerificationRepository
from serve_app.verification.service import VerificationService
from tests.integration.jobs.conftest import JobDatabase, plain
from tests.support.gateway_services import gateway_services, new_payment, owner
from tests.support.postgres import APP_ROLE

_EXCEPTIONS = "SELECT kind, subject, number, detail FROM job_exceptions ORDER BY number"
_ONE = "(SELECT {column} FROM {table} WHERE {where} ORDER BY id OFFSET {skip} LIMIT 1)"


async def _verify(books: JobDatabase, *, page: int = 300) -> tuple[Run, list[NumberedFinding]]:
    async with books.opened() as database:
        runs = RunRepository(database, "verify_ledger")
        repository = VerificationRepository(database)
        run = await VerificationService(database, repository, runs, SystemClock(), page=page).verify(books.meter)
        return run, await runs.exceptions(run, 1000)


async def _settle(books: JobDatabase, folder: Path) -> None:
    async with books.opened() as database:
        service = SettlementService(SettlementRepository(database), Changes(None), SystemClock(), FeeSchedule(290, 30))
        await service.settle_until(date(2026, 1, 6), folder, books.meter)


async def test_generated_payments_are_what_the_domain_model_makes(books: JobDatabase, tmp_path: Path) -> None:
    """Before they are settled and after."""
    await books.generate(1500)
    for _ in range(2):
        run, found = await _verify(books)
        assert found == []
        assert run.counts["payments"] == 1500
        for name in ("attempts", "postings", "events"):
            table = "ledger_postings" if name == "postings" else name
            where = "WHERE 'processor_receivable' IN (debit, credit)" if name == "postings" else ""
            [row] = await books.fetch(f"SELECT count(*) FROM {table} {where}")
            assert run.counts[name] == row["count"]
        await _settle(books, tmp_path)


async def test_payments_of_the_gateway_itself_verify(books: JobDatabase) -> None:
    """Declines, failures, partial captures, refunds, updates and a lost answer included."""
    async with gateway_services(books.server.url(APP_ROLE, books.name), processor_timeout_s=0.3) as services:
        merchant = new_id()
        who = owner(merchant, merchant)
        for token in ("tok_visa", "tok_declined", "tok_processor_error", "tok_timeout_charged"):
            await services.payments.create(who, new_payment(token=token), None)
        held = await services.payments.create(who, new_payment(capture=False), None)
        await services.payments.capture(who, held.payment_id, 400, None)
        await services.payments.update(who, held.payment_id, Change(frozenset({"description"}), "new", {}))
        for amount in (100, 300):
            await services.refunds.create(who, held.payment_id, amount, None, None)
        voided = await services.payments.create(who, new_payment(capture=False), None)
        await services.payments.void(who, voided.payment_id, None)
        run, found = await _verify(books)
    assert found == []
    assert run.counts["payments"] == 6


async def test_all_that_is_planted_is_found(books: JobDatabase, tmp_path: Path) -> None:
    """Each harm under its kind, numbered, and nothing else."""
    await books.generate(1500)
    await _settle(books, tmp_path)
    captured = "status = 'captured' AND sequence = 1"
    plants = {
        "payment_differs": "UPDATE payments SET amount_captured = amount_captured - 1 WHERE id = "
        + _ONE.format(column="id", table="payments", where=captured, skip=0)
        + " RETURNING id",
        "posting_missing": "DELETE FROM ledger_postings WHERE payment_id = "
        + _ONE.format(column="id", table="payments", where=captured, skip=1)
        + " RETURNING attempt_id",
        "posting_differs": "UPDATE ledger_postings SET credit = 'bank' WHERE payment_id = "
        + _ONE.format(column="id", table="payments", where=captured, skip=2)
        + " RETURNING attempt_id",
        "events_differ": "DELETE FROM events WHERE object_id = "
        + _ONE.format(column="id", table="payments", where="status = 'voided' AND sequence = 2", skip=0)
        + " AND sequence = 2 RETURNING object_id",
        "attempts_impossible": "DELETE FROM attempts WHERE payment_id = "
        + _ONE.format(column="id", table="payments", where="status = 'declined'", skip=0)
        + " RETURNING payment_id",
        "refund_differs": "UPDATE refunds SET amount = amount + 1 WHERE id = "
        + _ONE.format(column="id", table="refunds", where="status = 'succeeded'", skip=0)
        + " RETURNING id",
        "refund_event_differs": "DELETE FROM events WHERE object_id = "
        + _ONE.format(column="id", table="refunds", where="status = 'failed'", skip=0)
        + " RETURNING object_id",
        "posting_without_payment": "INSERT INTO ledger_postings SELECT merchant_id, new_uuid7(), new_uuid7(), 0, "
        "'processor_receivable', 'merchant_payable', 5, 'USD', '2026-12-01' FROM payments LIMIT 1 RETURNING attempt_id",
        "event_without_object": "INSERT INTO events (merchant_id, id, livemode, type, object_id, sequence, data, "
        "created_at) SELECT merchant_id, new_uuid7(), false, 'payment.captured', new_uuid7(), 1, '{}', now() "
        "FROM payments LIMIT 1 RETURNING object_id",
        "posting_unsettled": "DELETE FROM settlement_items WHERE payment_id = "
        + _ONE.format(column="id", table="payments", where="status = 'refunded'", skip=0)
        + " AND amount_minor < 0 RETURNING attempt_id",
        "settlement_not_posted": "DELETE FROM ledger_postings WHERE leg = 1 AND payment_id = "
        + _ONE.format(column="id", table="settlements", where="payout_minor > 0", skip=0)
        + " RETURNING payment_id",
    }
    planted = {kind: await books.plant(sql) for kind, sql in plants.items()}
    assert None not in planted.values()
    _, found = await _verify(books)
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    kinds: dict[str, set[str]] = {}
    for one in found:
        kinds.setdefault(one.kind, set()).add(one.subject)
    # What a harm brings with it.
    assert kinds.pop("event_tells_otherwise") == {f"{Prefix.PAYMENT}_{planted['payment_differs'].hex}"}
    assert planted["posting_missing"].hex in str(kinds["posting_missing"])
    assert kinds.pop("settlement_differs")
    for kind, identity in planted.items():
        assert any(identity.hex in subject for subject in kinds.pop(kind)), kind
    assert kinds == {}


async def test_a_run_that_was_killed_is_finished_by_the_next(books: JobDatabase, twin: JobDatabase) -> None:
    """It counts every payment once, and finds the same under the same numbers."""
    for database in (books, twin):
        await database.generate(3000)
        await database.plant("UPDATE payments SET version = version + 1 WHERE amount % 10 = 3")
    reached = "SELECT count(*) > 0 FROM job_runs WHERE (counts->>'payments')::int > 100"
    await books.kill_once(reached, "verify_ledger", "--page", "20")
    [half] = await books.fetch("SELECT id, (counts->>'payments')::int AS payments FROM job_runs")
    assert half["payments"] < 3000
    run, found = await _verify(books)
    whole, _ = await _verify(twin)
    assert run.id == half["id"]
    assert run.counts == whole.counts
    assert found
    assert plain(await books.fetch(_EXCEPTIONS)) == plain(await twin.fetch(_EXCEPTIONS))
    assert (await _verify(books))[0].id != run.id


async def test_it_reads_while_payments_are_made(books: JobDatabase) -> None:
    """What is in flight is no exception: each page is one moment."""
    await books.generate(300)
    attempt, payment = new_id(), new_id()
    await books.fetch(
        "INSERT INTO payments SELECT merchant_id, $1, livemode, amount, 0, 0, 0, currency, 'processing', token, brand, "
        "last4, processor, NULL, NULL, NULL, NULL, '{}', 1, 0, $2, NULL, NULL, $3, $3 FROM payments LIMIT 1",
        payment,
        attempt,
        datetime.now(UTC),
    )
    await books.fetch(
        "INSERT INTO attempts (merchant_id, payment_id, id, kind, state, amount, capture, processor, request_id, "
        "key_id, started_at, deadline_at) SELECT merchant_id, id, $2, 'authorize', 'started', amount, true, processor, "
        "'req', merchant_id, created_at, created_at FROM payments WHERE id = $1",
        payment,
        attempt,
    )
    run, found = await _verify(books)
    assert (found, run.counts["payments"]) == ([], 301)
