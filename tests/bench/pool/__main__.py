"""`python -m tests.bench.pool [compare|reuse|step]`: print a table; `--json` for the numbers."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

from actors.runtime.errors import Overloaded
from actors.runtime.histogram import Histogram
from tests.bench.pool.pgbouncer import PgBouncer
from tests.bench.pool.step import step
from tests.bench.pool.subjects import ROWS, AsyncpgPool, Dedicated, Each, Ours, Subject, prepare
from tests.support.postgres import TestPostgres
from tests.support.started import started

SIZE = 20
BUDGET = 50
WARM_UP_S = 1.0
REFUSED_PAUSE_S = 0.05


def main() -> None:
    """Run what is asked for on a server of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("compare", "reuse", "step"))
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with started(TestPostgres()) as server:
        url = server.url(database="postgres")
        asyncio.run(prepare(url))
        if options.what == "compare":
            facts = compare(server, url, options.clients, options.seconds)
        elif options.what == "reuse":
            facts = asyncio.run(reuse(url, options.seconds))
        else:
            seen = asyncio.run(step(url, options.seconds))
            facts = [
                {"rate": each.rate, "wait_p99_ms": each.wait_p99_s * 1000, "size": each.size, "open": each.open}
                for each in seen
            ]
    if options.json:
        print(json.dumps(facts))
        return
    for fact in facts:
        print(
            "  ".join(
                f"{name} {value:.1f}" if isinstance(value, float) else f"{name} {value}" for name, value in fact.items()
            )
        )


def compare(server: TestPostgres, url: str, clients: int, seconds: int) -> list[dict[str, Any]]:
    """Run both workloads through every subject."""
    subjects: list[Callable[[], Subject]] = [
        lambda: Dedicated(f"direct, {clients} connections", url),
        lambda: AsyncpgPool(url, SIZE),
        lambda: Ours(url, SIZE, grouped=False),
        lambda: Ours(url, SIZE, grouped=True),
    ]
    bouncer = None
    if PgBouncer.is_installed():
        bouncer = PgBouncer(server.port, SIZE)
        through = f"postgresql://postgres@127.0.0.1:{bouncer.port}/postgres"
        keeps = bouncer.keeps_statements()
        name = f"PgBouncer, transaction mode, pool of {SIZE}" + ("" if keeps else ", nothing prepared (before 1.21)")
        subjects.insert(2, lambda: Dedicated(name, through, prepares=keeps))
    else:
        print("PgBouncer is left out: apt-get install pgbouncer", file=sys.stderr)
    subjects.append(lambda: Each(url))
    facts: list[dict[str, Any]] = []
    try:
        if bouncer is not None:
            bouncer.start()
        for make in subjects:
            facts += asyncio.run(_measure(make, clients, seconds))
    finally:
        if bouncer is not None:
            bouncer.stop()
    return facts


async def _measure(make: Callable[[], Subject], clients: int, seconds: int) -> list[dict[str, Any]]:
    subject = make()
    await subject.open(clients)
    draw = random.Random(1)
    facts = []
    calls: dict[str, Callable[[int], Coroutine[Any, Any, None]]] = {
        "select": lambda client: subject.select(client, draw.randint(1, ROWS)),
        "two inserts": subject.write,
    }
    for what, call in calls.items():
        await _drive(call, clients, WARM_UP_S)
        times = await _drive(call, clients, seconds)
        facts.append({
            "subject": subject.name,
            "what": what,
            "per_second": times.count / seconds,
            "p50_ms": (times.quantile(0.5) or 0) * 1000,
            "p99_ms": (times.quantile(0.99) or 0) * 1000,
        })  # fmt: skip
    await subject.close()
    return facts


async def _drive(call: Callable[[int], Coroutine[Any, Any, None]], clients: int, seconds: float) -> Histogram:
    """Let each client call again as soon as it has its answer."""
    times = Histogram()
    until = time.monotonic() + seconds

    async def client(number: int) -> None:
        while (began := time.monotonic()) < until:
            try:
                await call(number)
            except Overloaded:
                # Counted by the pool; no answer in time is not a quick answer.
                await asyncio.sleep(REFUSED_PAUSE_S)
                continue
            times.record(time.monotonic() - began)

    await asyncio.gather(*(client(number) for number in range(clients)))
    return times


async def reuse(url: str, seconds: int) -> list[dict[str, Any]]:
    """Serve 1,000 clients at once on the budget, and count the connects."""
    ours = Ours(url, BUDGET, grouped=False)
    await ours.open(1000)
    draw = random.Random(1)
    times = await _drive(lambda client: ours.select(client, draw.randint(1, ROWS)), 1000, seconds)
    figures = ours.database.pool.figures()
    await ours.close()
    return [{
        "clients": 1000,
        "connections": figures.size,
        "statements": figures.uses,
        "connects": figures.connects,
        "connects_saved_percent": 100 * (1 - figures.connects / figures.uses),
        "refused": sum(figures.refused.values()),
        "per_second": times.count / seconds,
        "p50_ms": (times.quantile(0.5) or 0) * 1000,
        "p99_ms": (times.quantile(0.99) or 0) * 1000,
    }]  # fmt: skip


if __name__ == "__main__":
    main()
