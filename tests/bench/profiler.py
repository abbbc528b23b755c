"""The profile of one replica under load: py-spy's samples, and where they fall."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.failure import BenchFailed

SAMPLES_PER_SECOND = 200
TOP = 20
GRACE_S = 30
# py-spy takes these threads for busy, but they only wait.
WAITING = {
    "Worker.main_loop (ray/_private/worker.py)",
    "Condition.wait (threading.py)",
    "_worker (concurrent/futures/thread.py)",
}
# The replica's loop runs in a thread of its own; what is not in a Python function below this one is in C.
RENAMED = {"Thread.run (threading.py)": "event loop in C"}
INSTALLED = re.compile(r".*/(?:site-packages|python3\.\d+)/(.+)")


@dataclass(frozen=True, slots=True)
class SelfTime:
    """Hold a share of all samples, by the function or the package in which they fell."""

    where: str
    share: float


@contextmanager
def recorded(pid: int, seconds: float, path: Path) -> Iterator[None]:
    """Record a process into a speedscope file while the block runs, which should last `seconds`."""
    binary = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if binary is None:
        raise BenchFailed("py-spy is not installed; it comes with ray[default]")
    command = [binary, "record", "--pid", str(pid), "--duration", str(round(seconds))]
    command += ["--rate", str(SAMPLES_PER_SECOND), "--format", "speedscope", "--output", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        yield
        _, complaints = process.communicate(timeout=GRACE_S)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if process.returncode != 0:
        raise BenchFailed(f"py-spy failed: {complaints}")


def self_times(path: Path) -> tuple[list[SelfTime], list[SelfTime]]:
    """Return the functions with the most self time, at most TOP, and all packages, from a speedscope file."""
    profile = json.loads(path.read_text())
    frames = profile["shared"]["frames"]
    functions: defaultdict[str, float] = defaultdict(float)
    packages: defaultdict[str, float] = defaultdict(float)
    for leaf, weight in _leaves(profile["profiles"]):
        function = f"{frames[leaf]['name']} ({_short(frames[leaf]['file'])})"
        if function in WAITING:
            continue
        functions[RENAMED.get(function, function)] += weight
        packages[RENAMED.get(function, package_of(frames[leaf]["file"]))] += weight
    return _shares(functions)[:TOP], _shares(packages)


def package_of(file: str) -> str:
    """Name the package of a source file: the first two levels of ours, the first of any other."""
    short = _short(file)
    parts = short.split("/")
    depth = 2 if parts[0] in {"actors", "serve_app", "cluster", "ray"} else 1
    return "/".join(parts[: min(depth, max(1, len(parts) - 1))])


def _leaves(profiles: Iterable[dict[str, Any]]) -> Iterator[tuple[int, float]]:
    for profile in profiles:
        for stack, weight in zip(profile["samples"], profile["weights"], strict=True):
            if stack:
                yield stack[-1], weight


def _short(file: str) -> str:
    if installed := INSTALLED.search(file):
        return installed[1]
    for root in ("actors/", "serve_app/", "cluster/"):
        if f"/{root}" in file:
            return root + file.split(f"/{root}", 1)[1]
    return Path(file).name if file.startswith("/") else file


def _shares(weights: Mapping[str, float]) -> list[SelfTime]:
    total = sum(weights.values()) or 1
    times = [SelfTime(where, weight / total) for where, weight in weights.items()]
    return sorted(times, key=lambda time: -time.share)
