"""Has the optimizer work on three databases beside readers and writers, and prints what came of it.

    python -m tests.bench.optimizer [--rows 1000000] [--json]

Each database is copied before the optimizer sees it. Afterwards the same reads and writes go to it and to the copy by
turns, in pairs, so that what disturbs the machine disturbs both; times are those at the client. The lock waits of the
writer that works beside the optimizer come from the server's log, which tells of each that lasts 100 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from dataclasses import asdict, dataclass
from statistics import median

import asyncpg

from actors.optimizer.policy import Drops, Policy
from actors.optimizer.report import Report
from actors.optimizer.rounds import Memory, act
from tests.bench.ratio import Ratio, paired_ratio
from tests.support.optimizer_schemas import LOG, ORDERS, STAR, Latencies, Schema, Step, Traffic, drive
from tests.support.postgres import TestPostgres
from tests.support.started import started

_PAIRS = 12
_READS = 20
_WRITES = 300
_PATIENCE_MS = 100
_POLICY = Policy(drops=Drops.ALL, observe_min_s=0)
_SETTINGS = {
    "log_lock_waits": "on",
    # The server looks whether to tell of a wait when it looks for a deadlock.
    "deadlock_timeout": f"{_PATIENCE_MS}ms",
    "log_line_prefix": "%m [%p] %a ",
    "shared_buffers": "512MB",
    "max_wal_size": "4GB",
    "random_page_cost": "1.1",
}
_WAIT = re.compile(r"\] writer .*still waiting for")


@dataclass(frozen=True, slots=True)
class Compared:
    """What a step takes on the copy and on what the optimizer made, in milliseconds, and the ratio of the pairs."""

    before_ms: float
    after_ms: float
    ratio: Ratio


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one database."""

    schema: str
    created: list[str]
    dropped: list[str]
    restored: list[str]
    rejected: int
    round_s: float
    reads: Compared
    write: Compared
    write_max_ms: float
    writer_waits: int

    @property
    def together(self) -> float:
        """What the workload that the optimizer saw, fifteen steps of writes to one of reads, takes after, as a share of
        before.
        """
        after_ms = _READS * self.reads.after_ms + _WRITES * self.write.after_ms
        return after_ms / (_READS * self.reads.before_ms + _WRITES * self.write.before_ms)


async def _improve(schema: Schema, server: TestPostgres, rows: int) -> Outcome:
    url = await schema.create(lambda database: server.url(database=database), rows)
    # Statistics of what is sent are what the optimizer goes by.
    for step, steps in ((schema.write, _WRITES), (schema.read, _READS)):
        await drive(url, step, steps)
    untouched = await schema.copy(lambda database: server.url(database=database))
    log = server.folder / "log"
    logged = log.stat().st_size
    begun = asyncio.get_running_loop().time()
    report, beside = await _act(schema, url)
    round_s = asyncio.get_running_loop().time() - begun
    waits = len(_WAIT.findall(log.read_bytes()[logged:].decode(errors="replace")))
    return Outcome(
        schema.name,
        _named(report, "created"),
        _named(report, "dropped"),
        _named(report, "restored"),
        len(_named(report, "rejected")),
        round_s,
        await _compare(untouched, url, schema.read, _READS),
        await _compare(untouched, url, schema.write, _WRITES),
        max(max(times) for times in beside.times_ms.values()),
        waits,
    )


async def _act(schema: Schema, url: str) -> tuple[Report, Latencies]:
    reader, writer = Traffic(url, schema.read, "reader", 0.2), Traffic(url, schema.write, "writer", 0.01)
    tasks = [asyncio.create_task(each.run()) for each in (reader, writer)]
    connection = await asyncpg.connect(url, server_settings={"application_name": "easypay-optimizer"})
    try:
        report = await act(connection, _POLICY, Memory())
        for entry in report.actions:
            print(f"  {entry.action:9} {entry.index_name}: {entry.why}", flush=True)
        written = await connection.fetchval("SELECT count(*) FROM optimizer_journal")
        assert written == len(report.actions), "everything is in the journal"
    finally:
        await connection.close()
        for each in (reader, writer):
            each.stop()
        await asyncio.gather(*tasks)
    return report, writer.seen


def _named(report: Report, action: str) -> list[str]:
    return [entry.index_name for entry in report.actions if entry.action == action]


async def _compare(before: str, after: str, step: Step, steps: int) -> Compared:
    """Run the same steps on both by turns; the first pair only warms the caches."""
    pairs = list[tuple[float, float]]()
    for number in range(_PAIRS + 1):
        took = {}
        for url in (before, after) if number % 2 else (after, before):
            seen = await drive(url, step, steps, seed=number)
            took[url] = sum(median(times) for times in seen.times_ms.values())
        pairs.append((took[after], took[before]))
    pairs = pairs[1:]
    return Compared(median(each for _, each in pairs), median(each for each, _ in pairs), paired_ratio(pairs))


def _table(outcomes: list[Outcome]) -> str:
    lines = [
        "| database | made | dropped | reads | writes | all together | writer's waits over 100 ms | round |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.schema} | {len(each.created)} | {len(each.dropped) - len(each.restored)} | {_shown(each.reads)} |"
        f" {_shown(each.write)} | {each.together - 1:+.0%} | {each.writer_waits} | {each.round_s:.0f} s |"
        for each in outcomes
    ]
    return "\n".join(lines)


def _shown(compared: Compared) -> str:
    return f"{compared.before_ms:.2f} -> {compared.after_ms:.2f} ms, {compared.ratio}"


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    outcomes: list[Outcome] = []
    with started(TestPostgres(**_SETTINGS)) as server:
        for schema in (ORDERS, STAR, LOG):
            print(schema.name, flush=True)
            outcomes.append(asyncio.run(_improve(schema, server, options.rows)))
    if options.json:
        print(json.dumps([asdict(each) for each in outcomes]))
    else:
        print(_table(outcomes))


if __name__ == "__main__":
    main()
