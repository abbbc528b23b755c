"""wrk as the load generator."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.load import REQUEST_TIMEOUT_S, SAMPLES_MAX, Load, LoadFailed
from tests.bench.target import Target

SCRIPT = Path(__file__).with_name("wrk.lua")
MARK = "BENCH "
SAMPLE_SECONDS = 2


class Wrk:
    """Run wrk: one thread for one connection, else two; no pipelining, keep-alive."""

    name = "wrk"

    def __init__(self, binary: str) -> None:
        self._binary = binary

    @classmethod
    def find(cls) -> Wrk | None:
        """Return wrk as it is on the PATH, or None."""
        binary = shutil.which("wrk")
        return cls(binary) if binary else None

    def run(self, target: Target, *, connections: int, seconds: float) -> Load:
        """Run wrk once. Its own CPU time comes from the kernel's account of the ended child."""
        out, _, cpu_s = self._wrk(target, connections, max(1, round(seconds)), {})
        return parse(out, cpu_s)

    def sample_failures(self, target: Target, *, connections: int) -> tuple[str, ...]:
        """Run wrk once more in the mode that keeps bodies."""
        samples = {"BENCH_SAMPLES": str(SAMPLES_MAX)}
        _, errors, _ = self._wrk(target, connections, SAMPLE_SECONDS, samples)
        return tuple(errors.splitlines()[:SAMPLES_MAX])

    def _wrk(self, target: Target, connections: int, seconds: int, extra: dict[str, str]) -> tuple[str, str, float]:
        head, tail = target.pieces()
        # By environment and not by argument, so that the process list does not show the API key.
        environment = {
            **os.environ,
            "BENCH_HEAD": head.decode(),
            "BENCH_TAIL": tail.decode(),
            "BENCH_RUN": uuid.uuid4().hex[:12] + "-" if target.keyed else "",
            **extra,
        }
        threads = 1 if connections == 1 else 2
        command = [self._binary, f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--latency"]
        command += ["--timeout", f"{REQUEST_TIMEOUT_S}s", "-s", str(SCRIPT), target.url]
        with file_of(target.ids) as ids:
            return execute(command, environment | ({"BENCH_IDS": ids} if target.ids else {}))


@contextmanager
def file_of(lines: Sequence[str]) -> Iterator[str]:
    """Yield the name of a file with these lines: an environment holds no more than 128 KiB in one value."""
    with tempfile.NamedTemporaryFile("w", prefix="epb-") as file:
        file.writelines(f"{line}\n" for line in lines)
        file.flush()
        yield file.name


def execute(command: Sequence[str], environment: Mapping[str, str]) -> tuple[str, str, float]:
    """Run wrk; return what it printed, its complaints, and the seconds of CPU time that it used."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=errors)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        printed, complaints = out.read(), errors.read()
    if process.returncode != 0:
        raise LoadFailed(f"wrk ended with {process.returncode}: {complaints or printed}")
    return printed, complaints, usage.ru_utime + usage.ru_stime


def parse(out: str, cpu_s: float) -> Load:
    """Read the line of JSON that the script prints last."""
    summary = marked(out)
    return Load(
        requests=summary["requests"],
        seconds=summary["duration_us"] / 1e6,
        p50_ms=summary["p50_us"] / 1e3,
        p99_ms=summary["p99_us"] / 1e3,
        failures=summary["failures"],
        cpu_s=cpu_s,
    )


def marked(out: str) -> dict[str, Any]:
    """Return the object in the marked line."""
    line = next((line for line in out.splitlines() if line.startswith(MARK)), None)
    if line is None:
        raise LoadFailed(f"wrk printed no summary: {out[-500:]}")
    summary: dict[str, Any] = json.loads(line.removeprefix(MARK))
    return summary
