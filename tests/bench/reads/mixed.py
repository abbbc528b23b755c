"""The mixed load: reads and changes of payments that are used as Zipf has it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.bench.cpu import read_cpu
from tests.bench.failure import BenchFailed
from tests.bench.gateway import Gateway
from tests.bench.load import REQUEST_TIMEOUT_S, LoadFailed
from tests.bench.reads.cache_counts import CacheCounts, added, settled_counts
from tests.bench.reads.payments import CHANGE
from tests.bench.reads.request_log import RequestLog
from tests.bench.reads.statements import Statements, read_statements
from tests.bench.reads.subjects import reading
from tests.bench.wrk import Wrk, execute, file_of, marked

SCRIPT = Path(__file__).with_name("mixed.lua")
WARM_UP_CONNECTIONS = 64
WARM_UP_SLICE_S = 30.0
WARM_UP_GAIN_MIN = 0.005


@dataclass(frozen=True, slots=True)
class MixedLoad:
    """Hold the outcome of one run; percentiles are within 2 %."""

    seconds: float
    reads: int
    writes: int
    read_mean_ms: float
    read_p50_ms: float
    read_p99_ms: float
    write_mean_ms: float

    @property
    def requests(self) -> int:
        """All requests that were answered."""
        return self.reads + self.writes

    @classmethod
    def from_summary(cls, summary: dict[str, Any]) -> MixedLoad:
        """Take what the script printed."""
        return cls(
            seconds=summary["duration_us"] / 1e6,
            reads=summary["reads"],
            writes=summary["writes"],
            read_mean_ms=summary["read_us"] / 1e3 / max(1, summary["reads"]),
            read_p50_ms=summary["read_p50_us"] / 1e3,
            read_p99_ms=summary["read_p99_us"] / 1e3,
            write_mean_ms=summary["write_us"] / 1e3 / max(1, summary["writes"]),
        )


@dataclass(frozen=True, slots=True)
class MixedWindow:
    """Hold one measured window, of a gateway with a cache or without.

    ``share`` is that of the payments which the shards hold, None without a cache or where it is as large as by default.
    ``think_ms`` is the mean rest of each connection between two requests; with 0 they are as many as the gateway
    answers. ``counts`` is None where the gateway does not tell them. CPU is in seconds by group of the gateway's
    processes. ``inside_ms`` is the mean time of a read from the gateway's first line to its last, None where the log
    does not tell.
    """

    share: float | None
    cached: bool
    round: int
    load: MixedLoad
    statements: Statements
    counts: CacheCounts | None
    think_ms: float = 0.0
    cpu: Mapping[str, float] = field(default_factory=dict)
    inside_ms: float | None = None


class MixedRun:
    """Loads gateways that hold the same payments. Every run draws other requests, all from one seed."""

    def __init__(self, ids: Sequence[str], connections: int, write_share: float, seed: int) -> None:
        """``ids``: the most used first."""
        self._ids = ids
        self._connections = connections
        self._write_share = write_share
        self._seed = seed * 1000
        if Wrk.find() is None:
            raise BenchFailed("the mixed load needs wrk")

    def warm_up(self, gateway: Gateway, seconds: float) -> float:
        """Have the cache filled by reads alone, on more connections than are measured, until another slice of them hits
        no more often than the last, or so many seconds have passed; return the hit rate of the last."""
        spent, best = 0.0, 0.0
        while True:
            before = settled_counts(gateway)
            self._run(gateway, WARM_UP_SLICE_S, threads=2, connections=WARM_UP_CONNECTIONS, write_share=0.0)
            counts = added(settled_counts(gateway), before)
            hit_rate = counts.hit_rate if counts is not None else 0.0
            spent += WARM_UP_SLICE_S
            if hit_rate < best + WARM_UP_GAIN_MIN or spent >= seconds:
                return hit_rate
            best = hit_rate

    def load(self, gateway: Gateway, seconds: float, think_ms: float = 0.0) -> MixedLoad:
        """Load the gateway. Raises LoadFailed where anything but 2xx came back."""
        # A thread for each connection: so the script knows which answer is whose.
        number = self._connections
        summary = self._run(
            gateway, seconds, threads=number, connections=number, write_share=self._write_share, think_ms=think_ms
        )
        return MixedLoad.from_summary(summary)

    def _run(
        self,
        gateway: Gateway,
        seconds: float,
        *,
        threads: int,
        connections: int,
        write_share: float,
        think_ms: float = 0.0,
    ) -> dict[str, Any]:
        self._seed += 1
        command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
        command += ["--timeout", f"{REQUEST_TIMEOUT_S}s", "-s", str(SCRIPT), gateway.url]
        with file_of(self._ids) as ids:
            environment = {
                **self._environment(gateway, ids),
                "BENCH_WRITE_SHARE": str(write_share),
                "BENCH_THINK_MS": str(think_ms),
            }
            out, complaints, _ = execute(command, environment)
        summary = marked(out)
        if summary["failures"] or not summary["reads"]:
            raise LoadFailed(f"{summary['failures']} requests of the mixed load failed\n{complaints[:2000]}")
        return summary

    def measure(
        self,
        gateway: Gateway,
        seconds: float,
        *,
        share: float | None,
        cached: bool,
        turn: int,
        think_ms: float = 0.0,
    ) -> MixedWindow:
        """Load the gateway and read what its counters add."""
        counts_before = settled_counts(gateway)
        before = read_statements(gateway.database_url)
        log = RequestLog(Path(gateway.data_dir))
        cpu_before = read_cpu({gateway.pid: "launcher"})
        load = self.load(gateway, seconds, think_ms)
        cpu = read_cpu({gateway.pid: "launcher"}).since(cpu_before)
        statements = read_statements(gateway.database_url).since(before)
        counts = added(settled_counts(gateway), counts_before)
        return MixedWindow(share, cached, turn, load, statements, counts, think_ms, cpu, log.mean_read_ms())

    def _environment(self, gateway: Gateway, ids_file: str) -> dict[str, str]:
        reads = reading(gateway, self._ids).target
        read_head, read_tail = reads.pieces()
        write_head, write_tail = replace(reads, method="PATCH", body=json.dumps(CHANGE).encode()).pieces()
        return {
            **os.environ,
            "BENCH_READ_HEAD": read_head.decode(),
            "BENCH_READ_TAIL": read_tail.decode(),
            "BENCH_WRITE_HEAD": write_head.decode(),
            "BENCH_WRITE_TAIL": write_tail.decode(),
            "BENCH_IDS": ids_file,
            "BENCH_SEED": str(self._seed),
        }
