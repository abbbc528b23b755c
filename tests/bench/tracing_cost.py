"""What tracing costs a payment: `python -m tests.bench.tracing_cost [--ratio 0.01] [--pairs 40] [--payments 400]`.

In one process, on a real PostgreSQL, two gateways take turns: one exports traces, over HTTP to a collector in another
process, the other exports nothing. What is compared is this process' time on processors for each payment, the
exporter's thread included. Then what the hooks cost where nothing is traced, by themselves.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from multiprocessing.connection import Connection

from rich.console import Console
from starlette.types import ASGIApp, Message, Receive

from actors.runtime.tracing import child, current
from serve_app.app import assemble
from serve_app.domain.ids import new_id
from serve_app.merchants.administration import create_key
from serve_app.merchants.secrets import MERCHANT_SCOPES
from serve_app.middleware.access_log import BatchedLines
from serve_app.tracing.config import TracingConfig
from serve_app.tracing.notes import Noted, Notes
from serve_app.tracing.outgoing import outgoing_traceparent
from tests.bench.command import run_command
from tests.bench.ratio import paired_ratio
from tests.support.gateway_services import PEPPER, gateway_services
from tests.support.otlp_receiver import otlp_receiver
from tests.support.postgres import APP_ROLE, TestPostgres
from tests.support.started import started
from tests.unit.http.exchange import JSON, Exchange, body_messages, http_scope

_BODY = b'{"amount": 1999, "currency": "USD", "payment_method": "tok_visa"}'
_AT_ONCE = 16
_CALLS = 200_000


def main() -> int:
    """Measure, report, and return the exit code."""
    parser = argparse.ArgumentParser("python -m tests.bench.tracing_cost", description="Measure what tracing costs.")
    parser.add_argument("--ratio", type=float, default=0.01, help="share of payments that are traced")
    parser.add_argument("--pairs", type=int, default=40, help="turns with a block of each gateway")
    parser.add_argument("--payments", type=int, default=400, help="payments in a block")
    options = parser.parse_args()
    return run_command(lambda out, progress: _run(options, out, progress), as_json=False, enforce=False)


def _run(options: argparse.Namespace, out: Console, progress: Console) -> bool:
    with started(TestPostgres()) as server, _collector() as endpoint:
        asyncio.run(server.create_schema())
        pairs = asyncio.run(_measure(options, server, endpoint, progress))
    traced, off = (statistics.median(side) for side in zip(*pairs, strict=True))
    out.print(
        f"processor time of a payment, medians of {len(pairs)} pairs of {options.payments}: {traced:.1f} us with"
        f" {options.ratio:g} traced, {off:.1f} us with nothing exported; ratio, 95 %: {paired_ratio(pairs)}"
    )
    for name, nanoseconds in _hooks().items():
        out.print(f"{name}: {nanoseconds:.0f} ns")
    return False


async def _measure(
    options: argparse.Namespace, server: TestPostgres, endpoint: str, progress: Console
) -> list[tuple[float, float]]:
    scopes = [scope.value for scope in MERCHANT_SCOPES]
    key = (await create_key(server.url(), PEPPER, merchant=new_id().hex, scopes=scopes)).api_key
    config = TracingConfig(f"{endpoint}/v1/traces", options.ratio, {"service.name": "bench"})
    pairs: list[tuple[float, float]] = []
    async with AsyncExitStack() as stack:
        apps = []
        for tracing in (config, None):
            services = await stack.enter_async_context(
                gateway_services(
                    server.url(APP_ROLE), tracing=tracing, rate_limit_per_minute=0, processor_timeout_s=60.0
                )
            )
            apps.append(assemble(services, BatchedLines(lambda _: None)))
        for app in apps:
            await _block(app, key, options.payments)
        for turn in range(options.pairs):
            us = [0.0, 0.0]
            # Each is first in every other pair: what drifts within one favours neither.
            for index in (0, 1) if turn % 2 else (1, 0):
                us[index] = await _block(apps[index], key, options.payments)
            pairs.append((us[0], us[1]))
            progress.print(f"pair {turn + 1}/{options.pairs}: {us[0]:7.1f} us traced, {us[1]:7.1f} us off")
    return pairs


async def _block(app: ASGIApp, key: str, payments: int) -> float:
    """Take payments, a few at once, and return the microseconds of processor time of each."""
    headers = [(b"authorization", f"Bearer {key}".encode()), JSON]

    async def some() -> None:
        for _ in range(payments // _AT_ONCE):
            answer = Exchange()
            await app(http_scope("POST", "/v1/payments", headers), _patient(_BODY), answer.send)
            assert answer.status == 201, answer.body

    began = time.process_time()
    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
    return (time.process_time() - began) / (payments // _AT_ONCE * _AT_ONCE) * 1e6


def _patient(body: bytes) -> Receive:
    """Return a receive of a client that waits for its answer."""
    messages = body_messages(body)

    async def receive() -> Message:
        return messages.pop() if messages else await asyncio.get_running_loop().create_future()

    return receive


def _hooks() -> dict[str, float]:
    """Return what each hook costs where nothing is traced, in nanoseconds."""
    notes = Notes(1)

    def block() -> None:
        with child("x"):
            pass

    def stage() -> None:
        with Noted("x"):
            pass

    found = {"the current span": _ns(current), "a block that could be a span": _ns(block)}
    token = notes.enter()
    found["a stage that is noted"] = _ns(stage)
    found["traceparent of a call"] = _ns(outgoing_traceparent)
    notes.leave(token)
    return found


def _ns(call: Callable[[], object]) -> float:
    def once() -> float:
        began = time.thread_time_ns()
        for _ in range(_CALLS):
            call()
        return (time.thread_time_ns() - began) / _CALLS

    return min(once() for _ in range(5))


@contextmanager
def _collector() -> Iterator[str]:
    """Run a collector in a process of its own and return its address: its time is not the gateway's."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_collect, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send(None)
        process.join(10)


def _collect(pipe: Connection) -> None:
    with otlp_receiver() as receiver:
        pipe.send(receiver.endpoint)
        pipe.recv()


if __name__ == "__main__":
    sys.exit(main())
