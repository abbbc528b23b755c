"""A payment's trace, as a collector gets it: request, batch, statement, processor, task, webhook."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from actors.runtime.traceparent import TraceParent, parse_traceparent
from actors.scheduler.messages import Order
from actors.scheduler.worker import Worker
from serve_app.app import assemble
from serve_app.domain.ids import Prefix, new_id, parse_id
from serve_app.merchants.administration import create_key
from serve_app.merchants.secrets import MERCHANT_SCOPES
from serve_app.services import Services
from serve_app.tasks.registry import registry
from serve_app.tracing.config import TracingConfig
from tests.support.gateway_services import PEPPER, gateway_services, owner
from tests.support.local_workers import ROOMS
from tests.support.otlp_receiver import OtlpReceiver, attributes, otlp_receiver
from tests.support.postgres import APP_ROLE, TestPostgres
from tests.support.webhook_receiver import WebhookReceiver, receiving
from tests.unit.http.exchange import JSON, Exchange, Lines, ask

BODY = b'{"amount": 1999, "currency": "USD", "payment_method": "tok_visa"}'
CALLER = TraceParent(0xABCDEF0123456789ABCDEF0123456789, 0x00F067AA0BA902B7, True)


@dataclass
class Acquirer:
    """Approves everything over HTTP, and keeps the headers of what it was asked."""

    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    async def approve(self, request: web.Request) -> web.Response:
        """Approve."""
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        return web.json_response({"status": "approved", "reference": "ref_1"})


@dataclass
class Traced:
    """A merchant of a gateway that exports its traces."""

    services: Services
    lines: Lines
    key: str
    merchant: str
    acquirer: Acquirer
    webhooks: WebhookReceiver

    async def pay(self, *headers: tuple[bytes, bytes]) -> Exchange:
        """Take a payment through the whole application."""
        given = [(b"authorization", f"Bearer {self.key}".encode()), JSON, *headers]
        return await ask(assemble(self.services, self.lines), "POST", "/v1/payments", headers=given, body=BODY)

    async def orders(self) -> list[Order]:
        """Return the merchant's pending tasks as a worker gets them."""
        rows = await self.services.database.fetch(
            "SELECT id, name, arguments, 1, extract(epoch FROM run_at)::float8, trace FROM tasks"
            " WHERE owner = $1 AND state = 'pending' ORDER BY id",
            self.merchant,
        )
        return [Order(*row) for row in rows]

    async def work(self, orders: list[Order]) -> None:
        """Run tasks in a worker, to their ends."""
        assert self.services.tracing is not None
        tracer = self.services.tracing.tracer
        worker = Worker(registry, self.services, rooms=ROOMS, run_in_process=_no_process, tracer=tracer)
        session = worker.join(1).session
        worker.begin(session, new_id(), orders)
        ended: list[Any] = []
        async with asyncio.timeout(20):
            while len(ended) < len(orders):
                ended += (await worker.reports(session, len(ended), [])).ends


async def _no_process(*_: Any) -> None:
    raise AssertionError("webhooks are no CPU tasks")


@asynccontextmanager
async def approving() -> AsyncIterator[Acquirer]:
    """Run an acquirer."""
    acquirer = Acquirer()
    app = web.Application()
    app.router.add_post("/v1/operations", acquirer.approve)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    acquirer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield acquirer
    finally:
        await runner.cleanup()


@asynccontextmanager
async def traced(postgres: TestPostgres, collector: OtlpReceiver, ratio: float) -> AsyncIterator[Traced]:
    """Open a gateway's services that trace a share of requests, for a merchant with one endpoint for webhooks."""
    made = await create_key(
        postgres.url(), PEPPER, merchant=new_id().hex, scopes=[scope.value for scope in MERCHANT_SCOPES]
    )
    merchant_id, key_id = parse_id(Prefix.MERCHANT, made.merchant_id), parse_id(Prefix.API_KEY, made.id)
    assert merchant_id is not None
    assert key_id is not None
    config = TracingConfig(
        f"{collector.endpoint}/v1/traces", ratio, {"service.name": "easypay"}, {"x-key": "k"}, compression="gzip"
    )
    async with (
        approving() as acquirer,
        receiving() as webhooks,
        gateway_services(postgres.url(APP_ROLE), processor_url=acquirer.url, tracing=config) as services,
    ):
        _, secret = await services.webhooks.create(owner(merchant_id, key_id), webhooks.url, ("*",), None)
        webhooks.secrets.append(secret)
        yield Traced(services, Lines(), made.api_key, str(merchant_id), acquirer, webhooks)


@pytest.fixture
def collector() -> Any:
    """Run a collector."""
    with otlp_receiver() as receiver:
        yield receiver


def ancestors(span: Span, spans: list[Span]) -> list[str]:
    """Return the names of the spans above one, the nearest first."""
    by_id = {each.span_id: each for each in spans}
    names: list[str] = []
    while span.parent_span_id in by_id:
        span = by_id[span.parent_span_id]
        names.append(span.name)
    return names


async def test_one_trace_shows_the_whole_way(postgres: TestPostgres, collector: OtlpReceiver) -> None:
    """The caller's, through batches, statements, the processor and the task, to the receiver of the webhook."""
    async with traced(postgres, collector, 0.0) as gateway:
        answer = await gateway.pay((b"traceparent", CALLER.encode().encode()), (b"tracestate", b"vendor=opaque"))
        assert answer.status == 201
        orders = await gateway.orders()
        await gateway.work(orders)

    spans = collector.of_trace(CALLER.trace_id)
    named = {span.name: span for span in spans}
    request = named["POST /v1/payments"]
    assert request.parent_span_id == CALLER.span_id.to_bytes(8, "big")
    assert request.kind == Span.SPAN_KIND_SERVER
    told = attributes(request)
    assert (told["http.route"], told["http.response.status_code"], told["easypay.outcome"]) == (
        "/v1/payments",
        201,
        "succeeded",
    )
    for statement, stage in (("begin_payments", "begin"), ("conclude", "conclude")):
        assert ancestors(named[f"SQL {statement}"], spans) == [f"batch {statement}", stage, "POST /v1/payments"]
        batch = named[f"batch {statement}"]
        assert [link.span_id for link in batch.links] == [named[stage].span_id]
        assert attributes(batch)["batch.size"] == 1
    assert ancestors(named["processor call"], spans) == ["processor", "POST /v1/payments"]
    [asked] = gateway.acquirer.headers
    assert asked["traceparent"] == _of(named["processor call"])
    assert "tracestate" not in asked
    assert ancestors(named["task webhooks.deliver"], spans) == ["conclude", "POST /v1/payments"]
    assert ancestors(named["webhook POST"], spans)[0] == "task webhooks.deliver"
    delivered = {each.headers["traceparent"] for each in gateway.webhooks.received}
    assert _of(named["webhook POST"]) in delivered
    [line] = gateway.lines.written
    assert f'"trace_id":"{CALLER.trace_id:032x}","traced":true' in line
    assert collector.headers[0]["x-key"] == "k"
    assert collector.resources[0] == {"service.name": "easypay", "easypay.process": "tests"}


async def test_a_delivery_that_is_repeated_links_to_the_trace(postgres: TestPostgres, collector: OtlpReceiver) -> None:
    """It has a trace of its own: the last try may be days later."""
    async with traced(postgres, collector, 1.0) as gateway:
        await gateway.pay((b"traceparent", CALLER.encode().encode()))
        orders = [order._replace(attempt=2) for order in await gateway.orders()]
        await gateway.work(orders)
        stored = parse_traceparent(orders[0].trace or "")

    assert stored is not None
    assert stored.trace_id == CALLER.trace_id
    assert not [span for span in collector.of_trace(CALLER.trace_id) if span.name.startswith("task")]
    runs = [span for span in collector.named("task webhooks.deliver") if span.links]
    assert {link.trace_id for run in runs for link in run.links} == {CALLER.trace_id.to_bytes(16, "big")}
    assert {link.span_id for run in runs for link in run.links} == {stored.span_id.to_bytes(8, "big")}


async def test_what_is_not_sampled_leaves_no_span(postgres: TestPostgres, collector: OtlpReceiver) -> None:
    """The processor hears of the trace, and that nobody records it; tasks and webhooks do not."""
    async with traced(postgres, collector, 0.0) as gateway:
        assert (await gateway.pay()).status == 201
        orders = await gateway.orders()
        await gateway.work(orders)
        [line] = gateway.lines.written

    assert {order.trace for order in orders} == {None}
    told = parse_traceparent(gateway.acquirer.headers[0]["traceparent"])
    assert told is not None
    assert not told.sampled
    assert f'"trace_id":"{told.trace_id:032x}","traced":false' in line
    assert not any("traceparent" in each.headers for each in gateway.webhooks.received)
    assert collector.spans == []


async def test_requests_of_one_batch_are_linked_with_it(postgres: TestPostgres, collector: OtlpReceiver) -> None:
    """The batch lies in the trace of the first, links to all of them, and the others link to it."""
    callers = [CALLER._replace(trace_id=CALLER.trace_id + number) for number in range(6)]
    async with traced(postgres, collector, 0.0) as gateway:
        await asyncio.gather(*(gateway.pay((b"traceparent", each.encode().encode())) for each in callers))

    begins = {span.span_id: span for span in collector.named("begin")}
    linked: dict[bytes, int] = {}
    for batch in collector.named("batch begin_payments"):
        first, *others = [begins[link.span_id] for link in batch.links]
        assert (batch.trace_id, batch.parent_span_id) == (first.trace_id, first.span_id)
        assert [link.span_id for other in others for link in other.links] == [batch.span_id] * len(others)
        for each in (first, *others):
            linked[each.span_id] = linked.get(each.span_id, 0) + 1
    assert linked == dict.fromkeys(begins, 1)
    assert len(begins) == 6
    assert len(collector.named("batch begin_payments")) < 6


async def test_a_failure_that_was_not_sampled_leaves_its_first_span(
    postgres: TestPostgres, collector: OtlpReceiver
) -> None:
    """With its stages as figures, and the id that its log line has."""
    async with traced(postgres, collector, 0.0) as gateway:
        await gateway.services.database.close()
        answer = await gateway.pay()
        assert answer.status >= 500
        [line] = gateway.lines.written

    [span] = collector.spans
    assert f'"trace_id":"{span.trace_id.hex()}","traced":true' in line
    assert span.parent_span_id == b""
    assert span.status.code == span.status.STATUS_CODE_ERROR
    assert attributes(span)["easypay.sampled_because"] == "failed"


def _of(span: Span) -> str:
    return f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01"
