"""The acquirer's HTTP interface: operations by attempt id, and its ledger for whoever compares books.

A development and test double: it authenticates nobody, so it listens on loopback unless told otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from serve_app.domain.attempt import AttemptKind
from serve_app.processors.acquirer.callbacks import Callbacks, CallbackTarget
from serve_app.processors.acquirer.ledger import Ledger, LedgerPage
from serve_app.processors.acquirer.report import report_csv
from serve_app.processors.acquirer.service import Acquirer, Report
from serve_app.processors.acquirer.writer import LedgerWriter
from serve_app.processors.books import Entry
from serve_app.processors.journey import Ending, Itinerary
from serve_app.processors.protocol import Failed, NotFound, ProcessorRequest, Unknown
from serve_app.processors.slots import Slots
from serve_app.processors.wire import Answer, encode_answer

SILENCE_MAX_S = 60.0
ABORT_KEY = "easypay.abort"
PAGE_MAX = 5_000


@dataclass(frozen=True, slots=True)
class AcquirerSettings:
    """Say where the ledger lies, how the acquirer behaves, and whom it tells what it has finished."""

    data_path: Path
    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    seed: int = 0
    failure_rate: float = 0.0
    concurrency: int = 1_000
    queue_max: int = 10_000
    callbacks: CallbackTarget | None = None


class OperationBody(BaseModel):
    """Describe an operation as it comes over the wire."""

    model_config = ConfigDict(extra="forbid")

    attempt_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\-]{1,128}$")]
    kind: AttemptKind
    amount_minor: Annotated[int, Field(strict=True, ge=-(2**62), le=2**62)]
    currency: Annotated[str, Field(min_length=3, max_length=3)]
    token: Annotated[str, Field(max_length=255)]
    capture: bool
    reference: Annotated[str, Field(max_length=255)] | None = None

    def to_request(self) -> ProcessorRequest:
        return ProcessorRequest(**self.model_dump())


class OutcomeResponse:
    """Answer, say nothing until the caller gives up, or cut the connection, as the report asks."""

    def __init__(self, report: Report) -> None:
        self._report = report

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match self._report.ending:
            case Ending.SILENCE:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(_disconnected(receive), SILENCE_MAX_S)
                await _cut(scope, receive)
            case Ending.RESET:
                await _cut(scope, receive)
            case Ending.ANSWER | Ending.NOT_DONE:
                await _answer(self._report.outcome)(scope, receive, send)


def create_app(settings: AcquirerSettings, *, on_ready: Callable[[], None] = lambda: None) -> Starlette:
    """Build the ASGI app; its lifespan opens the ledger, calls `on_ready` and closes the ledger."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        writer = LedgerWriter(Ledger(settings.data_path))
        callbacks = Callbacks(settings.callbacks) if settings.callbacks is not None else None
        if callbacks is None:
            acquirer = Acquirer(writer, _itinerary(settings), _slots(settings))
        else:
            await callbacks.start()
            acquirer = Acquirer(writer, _itinerary(settings), _slots(settings), finished=callbacks.tell)
        app.state.acquirer = acquirer
        on_ready()
        try:
            yield
        finally:
            if callbacks is not None:
                await callbacks.close()
            await writer.close()

    routes = [
        Route("/v1/operations", _perform, methods=["POST"]),
        Route("/v1/operations/{attempt_id}", _lookup, methods=["GET"]),
        Route("/v1/operations/{attempt_id}/refuse", _refuse, methods=["POST"]),
        Route("/v1/ledger", _ledger, methods=["GET"]),
        Route("/v1/report", _report, methods=["GET"]),
        Route("/health", _health, methods=["GET"]),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


async def _perform(request: Request) -> OutcomeResponse:
    try:
        operation = OperationBody.model_validate_json(await request.body()).to_request()
    except ValidationError:
        return OutcomeResponse(Report(Failed("invalid_request", retryable=False)))
    return OutcomeResponse(await _acquirer(request).perform(operation))


async def _lookup(request: Request) -> JSONResponse:
    return _answer(await _acquirer(request).lookup(request.path_params["attempt_id"]))


async def _refuse(request: Request) -> JSONResponse:
    return _answer(await _acquirer(request).refuse(request.path_params["attempt_id"]))


async def _ledger(request: Request) -> JSONResponse:
    try:
        after = int(request.query_params.get("after", "0"))
        limit = int(request.query_params.get("limit", "1000"))
    except ValueError:
        return JSONResponse({"detail": "after and limit must be integers"}, status_code=400)
    page = await _acquirer(request).page(after, max(1, min(limit, PAGE_MAX)))
    return JSONResponse(_page_document(page))


async def _report(request: Request) -> StreamingResponse:
    return StreamingResponse(report_csv(_acquirer(request), datetime.now(UTC)), media_type="text/csv")


async def _health(request: Request) -> JSONResponse:
    await _acquirer(request).page(0, 1)
    return JSONResponse({"status": "ok"})


def _acquirer(request: Request) -> Acquirer:
    acquirer: Acquirer = request.app.state.acquirer
    return acquirer


def _itinerary(settings: AcquirerSettings) -> Itinerary:
    return Itinerary(
        latency_ms=settings.latency_ms,
        jitter_ms=settings.jitter_ms,
        failure_rate=settings.failure_rate,
        seed=settings.seed,
    )


def _slots(settings: AcquirerSettings) -> Slots:
    return Slots(settings.concurrency, queue_max=settings.queue_max)


def _answer(answer: Answer) -> JSONResponse:
    return JSONResponse(encode_answer(answer), status_code=_http_status(answer))


def _http_status(answer: Answer) -> int:
    match answer:
        case NotFound():
            return 404
        case Unknown():
            return 409
        case Failed(retryable=True):
            return 503
        case Failed(code="invalid_request"):
            return 422
    return 200


async def _cut(scope: Scope, receive: Receive) -> None:
    abort = scope.get("extensions", {}).get(ABORT_KEY)
    # A server without the extension closes the connection itself, because the app returns without an answer.
    if abort is not None:
        abort()
        await _disconnected(receive)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _page_document(page: LedgerPage) -> dict[str, Any]:
    return {
        "entries": [_entry_document(sequence, entry) for sequence, entry in page.entries],
        "has_more": page.has_more,
        "totals": {currency: asdict(totals) for currency, totals in page.totals.items()},
    }


def _entry_document(sequence: int, entry: Entry) -> dict[str, Any]:
    return {
        "sequence": sequence,
        "attempt_id": entry.attempt_id,
        "request": None if entry.request is None else asdict(entry.request),
        "result": encode_answer(entry.result),
        "moved_minor": entry.moved_minor,
    }
