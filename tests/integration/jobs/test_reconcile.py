"""An acquirer's report against the books on a real PostgreSQL: every difference is found, once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest

from actors.runtime.clock import SystemClock
from serve_app.batch.runs import NumberedFinding, Run, RunRepository
from serve_app.domain.attempt import AttemptKind
from serve_app.domain.ids import Prefix, first_id_at, new_id, public_id
from serve_app.processors.http import HttpProcessor
from serve_app.processors.protocol import Approved, ProcessorRequest
from serve_app.reconciliation.report import Report
from serve_app.reconciliation.repository import ReconciliationRepository
from serve_app.reconciliation.service import ReconciliationService
from tests.integration.jobs.conftest import JobDatabase, plain
from tests.support.acquirer import AcquirerProcess
from tests.support.gateway_services import gateway_services, new_payment, owner
from tests.support.postgres import APP_ROLE
from tests.support.report import moved_lines, write_report

LATER = datetime(2026, 2, 1, tzinfo=UTC)
Lines = list[tuple[str, ...]]
_STRANGE = "att_019b76daa80079e28ffc1b9c9ac14aa2"
_EXCEPTIONS = "SELECT number, kind, subject, detail FROM job_exceptions ORDER BY number"


@pytest.fixture
def acquirer(tmp_path: Path) -> Iterator[AcquirerProcess]:
    """Run an acquirer for one test."""
    process = AcquirerProcess(tmp_path / "ledger.db")
    yield process
    process.kill()


async def _reconcile(
    books: JobDatabase, path: Path, processor: str = "acquirer", *, page: int = 500, **times: datetime
) -> tuple[Run, list[NumberedFinding]]:
    async with books.opened() as database:
        runs = RunRepository(database, "reconcile")
        service = ReconciliationService(ReconciliationRepository(database), runs, SystemClock(), page=page)
        run = await service.reconcile(Report.read(path), processor, books.meter, **times)
        return run, await runs.exceptions(run, 1000)


def _changed(line: tuple[str, ...], **changes: str) -> tuple[str, ...]:
    names = ("kind", "attempt", "amount_minor", "currency", "reference", "sequence")
    return tuple(changes.get(name, value) for name, value in zip(names, line, strict=True))


async def test_books_that_agree(books: JobDatabase, tmp_path: Path) -> None:
    """Every line meets a posting; nothing stays staged."""
    await books.generate(1500)
    lines = await moved_lines(books.url)
    write_report(tmp_path / "report.csv", lines, LATER)
    run, found = await _reconcile(books, tmp_path / "report.csv")
    assert found == []
    assert run.counts == {"lines": len(lines), "matched": len(lines), "repeated": 0, "undone": 0, "outside": 0}
    assert await books.fetch("SELECT * FROM reconciliation_entries") == []


def _planted(lines: Lines) -> tuple[Lines, set[tuple[str, str]]]:
    """Return the lines with one harm of each kind, and what has to be found."""
    refund = next(index for index, line in enumerate(lines) if line[0] == "refund")
    expected = {
        ("missing_there", lines[0][1]),
        ("amount_differs", lines[1][1]),
        ("amount_differs", lines[2][1]),
        ("amount_differs", lines[refund][1]),
        ("missing_here", _STRANGE),
        ("missing_here", "another client's"),
        ("repeated_there", f"{lines[3][1]} line {len(lines) + 3}"),
    }
    changed = list(lines)
    changed[1] = _changed(lines[1], amount_minor=str(int(lines[1][2]) + 1))
    changed[2] = _changed(lines[2], currency="CHF")
    changed[refund] = _changed(lines[refund], kind="capture")
    strange = ("capture", _STRANGE, "500", "USD", "ref", "0")
    foreign = ("capture", "another client's", "500", "USD", "ref", "0")
    return [*changed[1:], strange, foreign, lines[3]], expected


async def test_every_difference_is_found(books: JobDatabase, tmp_path: Path) -> None:
    """And numbered; the rest agrees."""
    await books.generate(1500)
    lines, expected = _planted(await moved_lines(books.url))
    write_report(tmp_path / "report.csv", lines, LATER)
    run, found = await _reconcile(books, tmp_path / "report.csv")
    assert {(one.kind, one.subject) for one in found} == expected
    assert [one.number for one in found] == list(range(1, len(expected) + 1))
    assert run.counts["matched"] == len(lines) - 6
    differs = next(one for one in found if one.kind == "amount_differs" and one.subject == lines[0][1])
    assert differs.detail["theirs"]["amount_minor"] == differs.detail["ours"]["amount_minor"] + 1


async def test_a_report_is_reconciled_once(books: JobDatabase, tmp_path: Path) -> None:
    """The same bytes again are the same run; other bytes are another one."""
    await books.generate(300)
    lines, _ = _planted(await moved_lines(books.url))
    write_report(tmp_path / "report.csv", lines, LATER)
    first = await _reconcile(books, tmp_path / "report.csv")
    assert await _reconcile(books, tmp_path / "report.csv") == first
    assert len(await books.fetch("SELECT * FROM job_runs")) == 1
    write_report(tmp_path / "report.csv", lines, LATER + timedelta(days=1))
    assert (await _reconcile(books, tmp_path / "report.csv"))[0].id != first[0].id


@pytest.mark.parametrize(
    "reached",
    [
        "SELECT count(*) > 40 FROM reconciliation_entries",
        "SELECT count(*) > 0 FROM job_runs WHERE phase = 'matching' AND (counts->>'matched')::int > 40",
    ],
    ids=["staging", "matching"],
)
async def test_a_run_that_was_killed_is_finished_by_the_next(
    books: JobDatabase, twin: JobDatabase, tmp_path: Path, reached: str
) -> None:
    """With the same exceptions under the same numbers, and the same counts."""
    await books.generate(1500)
    await twin.generate(1500)
    lines, expected = _planted(await moved_lines(books.url))
    path = tmp_path / "report.csv"
    write_report(path, lines, LATER)
    await books.kill_once(reached, "reconcile", "--report", str(path), "--page", "5")
    [half] = await books.fetch("SELECT * FROM job_runs")
    assert half["finished_at"] is None
    run, found = await _reconcile(books, path)
    whole, _ = await _reconcile(twin, path)
    assert run.id == half["id"]
    assert run.counts == whole.counts
    assert len(found) == len(expected)
    assert plain(await books.fetch(_EXCEPTIONS)) == plain(await twin.fetch(_EXCEPTIONS))


async def test_a_run_that_is_given_up_leaves_nothing(books: JobDatabase, tmp_path: Path) -> None:
    """Another report takes its place; the first one can begin anew."""
    await books.generate(1500)
    lines = await moved_lines(books.url)
    for name, moment in (("given_up.csv", LATER), ("other.csv", LATER + timedelta(days=1))):
        write_report(tmp_path / name, lines, moment)
    reached = "SELECT count(*) > 40 FROM reconciliation_entries"
    await books.kill_once(reached, "reconcile", "--report", str(tmp_path / "given_up.csv"), "--page", "5")
    for name in ("other.csv", "given_up.csv"):
        run, found = await _reconcile(books, tmp_path / name)
        assert (run.counts["matched"], found) == (len(lines), [])
    assert await books.fetch("SELECT * FROM reconciliation_entries") == []


async def test_only_what_is_asked_for_is_compared(books: JobDatabase, tmp_path: Path) -> None:
    """Attempts of a time, of a processor: neither others' postings nor others' lines are exceptions."""
    await books.generate(900)
    lines = await moved_lines(books.url)
    path = tmp_path / "report.csv"
    write_report(path, lines, LATER)
    since, until = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)
    run, found = await _reconcile(books, path, since=since, until=until)
    low, high = first_id_at(since).hex, first_id_at(until).hex
    inside = sum(low <= line[1][4:] < high for line in lines)
    assert (run.counts["matched"], run.counts["outside"], found) == (inside, len(lines) - inside, [])
    assert 0 < inside < len(lines)
    _, found = await _reconcile(books, path, "other")
    assert {one.kind for one in found} == {"missing_here"}
    assert len(found) == min(1000, len(lines))


async def test_what_was_undone_is_no_difference(books: JobDatabase, tmp_path: Path) -> None:
    """A charge that the resolver found and took back; not so where it took back another amount."""
    await books.generate(100)
    lines = await moved_lines(books.url)
    undone, half = "att_019b76da00007000800000000000000a", "att_019b76da00007000800000000000000b"
    lines += [
        ("capture", undone, "500", "USD", "ref", "0"),
        ("refund", f"{undone}_undo", "500", "USD", "ref", "0"),
        ("capture", half, "500", "USD", "ref", "0"),
        ("refund", f"{half}_undo", "300", "USD", "ref", "0"),
    ]
    write_report(tmp_path / "report.csv", lines, LATER)
    run, found = await _reconcile(books, tmp_path / "report.csv")
    assert run.counts["undone"] == 2
    assert [(one.kind, one.subject) for one in found] == [("missing_here", half), ("missing_here", f"{half}_undo")]


async def test_a_real_acquirer_gives_the_report(books: JobDatabase, tmp_path: Path, acquirer: AcquirerProcess) -> None:
    """Payments made through it agree with it; one that it took behind our back does not."""
    merchant = new_id()
    url = books.server.url(APP_ROLE, books.name)
    async with gateway_services(url, processor_url=acquirer.url, processor_timeout_s=1.0) as services:
        who = owner(merchant, merchant)
        for token in ("tok_visa", "tok_declined", "tok_mastercard"):
            await services.payments.create(who, new_payment(token=token), None)
        held = await services.payments.create(who, new_payment(capture=False), None)
        await services.payments.capture(who, held.payment_id, 400, None)
        taken = await services.payments.create(who, new_payment(5000), None)
        await services.refunds.create(who, taken.payment_id, 700, None, None)
        await services.payments.create(who, new_payment(capture=False), None)
    await asyncio.to_thread(_fetch, acquirer, tmp_path / "report.csv")
    soon = datetime.now(UTC) + timedelta(minutes=1)
    run, found = await _reconcile(books, tmp_path / "report.csv", until=soon)
    assert (run.counts["matched"], found) == (5, [])
    processor = HttpProcessor(acquirer.url)
    await _charge_behind_our_back(processor)
    await asyncio.to_thread(_fetch, acquirer, tmp_path / "report.csv")
    run, found = await _reconcile(books, tmp_path / "report.csv", until=soon)
    assert (run.counts["matched"], [one.kind for one in found]) == (5, ["missing_here"])


def _fetch(acquirer: AcquirerProcess, path: Path) -> None:
    with urlopen(f"{acquirer.url}/v1/report", timeout=30) as answer:
        path.write_bytes(answer.read())


async def _charge_behind_our_back(processor: HttpProcessor) -> None:
    attempt = public_id(Prefix.ATTEMPT, new_id())
    request = ProcessorRequest(attempt, AttemptKind.AUTHORIZE, 900, "USD", "tok_visa", True, None)
    assert isinstance(await processor.perform(request, timeout_s=10), Approved)
    await processor.close()
