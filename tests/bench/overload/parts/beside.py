"""What payments notice of the work beside them: an export of Ray Data, and tasks by the hundred."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import asyncpg

from actors.scheduler.table import enqueue
from serve_app.domain.ids import new_id
from serve_app.tasks.deliver_webhook import DeliverArguments, deliver
from tests.bench.failure import BenchFailed
from tests.bench.gateway import Gateway, easypay_command
from tests.bench.overload.answer import Outcome
from tests.bench.overload.bench import Bench
from tests.bench.overload.keys import main_merchant
from tests.bench.overload.mix import CREATES, Mix
from tests.bench.overload.tally import Tally
from tests.bench.overload.verdict import PartResult, Verdict, at_least, below, kept_up, none_of, shown
from tests.support.generated import generate_payments

P99_RATIO_MAX = 2.0
TASKS_PER_S = 500
# Of what was enqueued in a window; the last of it is on its way when the window ends.
_FINISHED_MIN = 0.98
_BATCH_S = 0.1
_END_WITHIN_S = 60.0


class Exports:
    """Runs the export as operators do: again and again, each of everything and into a folder of its own."""

    def __init__(self, gateway: Gateway, folder: Path) -> None:
        self._gateway = gateway
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.begun = 0
        self.finished = 0

    def look(self) -> None:
        """Begin the first, or the next once one has ended. Raises BenchFailed where it ended badly."""
        if self._process is not None and (code := self._process.poll()) is not None:
            if code:
                raise BenchFailed(f"the export ended with {code}: {self._log.read_text(encoding='utf-8')[-2000:]}")
            self._process = None
            self.finished += 1
        if self._process is None:
            self.begun += 1
            output = self._folder / f"export-{self.begun}"
            folders = ("--data-dir", str(self._gateway.data_dir), "--output", str(output))
            command = [*easypay_command(), "job", "export", *folders]
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def stop(self) -> None:
        """Stop the one that runs: the command takes its job along."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(_END_WITHIN_S)
            self._process = None

    @property
    def _log(self) -> Path:
        return self._folder / f"export-{self.begun}.log"


@contextmanager
def _tasks(url: str) -> Iterator[None]:
    """Enqueue tasks until the end of the block: deliveries of what there is not, so each asks for it and is done."""
    over = Event()
    failures: list[BaseException] = []

    async def feed() -> None:
        connection = await asyncpg.connect(url)
        try:
            due = time.monotonic()
            while not over.wait(max(0.0, due - time.monotonic())):
                arguments = (DeliverArguments(new_id(), new_id(), 1) for _ in range(int(TASKS_PER_S * _BATCH_S)))
                await enqueue(connection, [deliver.new(each, id=new_id()) for each in arguments])
                due += _BATCH_S
        finally:
            await connection.close()

    def run() -> None:
        try:
            asyncio.run(feed())
        except BaseException as error:
            failures.append(error)

    feeder = Thread(target=run)
    feeder.start()
    try:
        yield
    finally:
        over.set()
        feeder.join()
    if failures:
        raise BenchFailed("tasks could not be enqueued") from failures[0]


async def _ends(url: str) -> tuple[int, int, float]:
    """Return how many tasks there were, how many have ended well, and the seconds from first to last of these ends."""
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(
            "SELECT count(*) AS all, count(*) FILTER (WHERE state = 'succeeded') AS succeeded,"
            " extract(epoch FROM max(finished_at) - min(finished_at))::float8 AS span_s"
            " FROM tasks WHERE name = $1",
            deliver.name,
        )
        return row["all"], row["succeeded"], row["span_s"] or 0.0
    finally:
        await connection.close()


def run(bench: Bench) -> PartResult:
    """Measure payments alone, beside an export, alone again, and beside tasks."""
    scale = bench.options.scale
    rate, seconds = scale.beside_per_s, scale.load_s
    with bench.gateway() as gateway, tempfile.TemporaryDirectory(prefix="epb-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        bench.progress(f"making {scale.exported_payments:,} payments of the days before")
        asyncio.run(generate_payments(gateway.database_url, scale.exported_payments, days=10))
        mix = Mix(main_merchant(gateway), CREATES, ("create",), at_once=64)
        bench.progress("warming up")
        bench.load(gateway, mix.streams(rate, 0, 5, paced=True))
        runs: dict[str, Tally] = {}
        exports = Exports(gateway, folder)
        try:
            for number in (1, 2):
                bench.progress(f"{rate:g}/s alone for {seconds} s")
                runs[f"alone {number}"] = bench.load(gateway, mix.streams(rate, 0, seconds, paced=True))
                bench.progress(f"{rate:g}/s beside an export for {seconds} s")
                runs[f"export {number}"] = bench.load(
                    gateway, mix.streams(rate, 0, seconds, paced=True), meanwhile=exports.look
                )
                exports.stop()
        finally:
            exports.stop()
        rate = scale.beside_tasks_per_s
        bench.progress(f"{rate:g}/s beside {TASKS_PER_S} tasks/s for {seconds} s")
        with _tasks(gateway.database_url):
            runs[f"{TASKS_PER_S} tasks/s"] = bench.load(gateway, mix.streams(rate, 0, seconds, paced=True))
        tasks = asyncio.run(_ends(gateway.database_url))
    setting = (
        f"{scale.beside_per_s:g} payments/s, {rate:g}/s beside tasks, {seconds} s a run; "
        f"{scale.exported_payments:,} payments are exported: {exports.begun} exports began, {exports.finished} ended"
    )
    return PartResult("beside", setting, judge(runs, seconds, tasks), runs)


def judge(runs: dict[str, Tally], seconds: int, tasks: tuple[int, int, float]) -> tuple[Verdict, ...]:
    """Tell what payments took alone and beside, and what became of the tasks; see `_ends` for these."""
    stored, succeeded, span_s = tasks
    alone, export = (_p99_ms(runs, kind) for kind in ("alone", "export"))
    offered = sum(tally.offered() for tally in runs.values())
    good = sum(tally.count((Outcome.GOOD,)) for tally in runs.values())
    return (
        below("p99 beside an export, of that alone", export / alone, P99_RATIO_MAX),
        shown("p50 and p99", "; ".join(f"{name}: {_quantiles(tally)}" for name, tally in runs.items())),
        none_of("payments that were not taken", offered - good, offered),
        at_least("tasks that ended within the run", succeeded, _FINISHED_MIN * TASKS_PER_S * seconds),
        shown("tasks", f"{succeeded:,} of {stored:,} within {span_s:.0f} s, {succeeded / max(span_s, 1):,.0f}/s"),
        *(verdict for name, tally in runs.items() for verdict in kept_up(tally, name)),
    )


def _p99_ms(runs: dict[str, Tally], kind: str) -> float:
    """Return the mean of the runs of a kind."""
    found = [tally.latency_ms(0.99, Outcome) or 0.0 for name, tally in runs.items() if name.startswith(kind)]
    return sum(found) / len(found)


def _quantiles(tally: Tally) -> str:
    return " and ".join(f"{tally.latency_ms(part, Outcome) or 0.0:.1f} ms" for part in (0.5, 0.99))
