"""The driver: brings all subjects up side by side and measures them in turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from tests.bench.client import Client
from tests.bench.cpu import replica_pids
from tests.bench.failure import BenchFailed
from tests.bench.gateway import Gateway, attached, started
from tests.bench.load import LoadGenerator
from tests.bench.options import Options
from tests.bench.profiler import SelfTime, recorded, self_times
from tests.bench.subjects import Subject, deployed_echo, easypay, running_peer
from tests.bench.summary import RATIO_CONNECTIONS
from tests.bench.window import Meter, Window
from tests.bench.wrk import Wrk

Progress = Callable[[str], None]
PEER_STYLES = {"peer": "transaction", "peer-cte": "cte"}
FIRST_WARM_UP_SECONDS = 2.0
PROFILE_SECONDS = 10.0


class Pace(Protocol):
    """How often, for how many seconds, and at which numbers of connections each subject is measured."""

    @property
    def rounds(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def connections(self) -> tuple[int, ...]: ...


class Bench:
    """Hold subjects that are up, and measure them."""

    def __init__(self, gateway: Gateway, subjects: Sequence[Subject], generator: LoadGenerator) -> None:
        self._gateway = gateway
        self._subjects = subjects
        roots = {gateway.pid: "launcher"}
        roots |= {s.pid: s.name for s in subjects if s.pid is not None and s.pid != gateway.pid}
        self._meter = Meter(generator, roots)

    def rounds(self, pace: Pace, progress: Progress) -> list[Window]:
        """Measure every subject once in each round at each number of connections."""
        connections_max = max(pace.connections)
        for subject in self._subjects:
            progress(f"warming up {subject.name}")
            seconds = min(FIRST_WARM_UP_SECONDS, pace.seconds)
            self._meter.warm_up(subject, connections=connections_max, seconds=seconds)
        windows = []
        for round, connections, subject in turns(pace.rounds, pace.connections, self._subjects):
            window = self._meter.measure(subject, connections=connections, seconds=pace.seconds, turn=round)
            windows.append(window)
            progress(
                f"round {round + 1}/{pace.rounds}, {connections:>3} connections, {subject.name:<8} "
                f"{window.load.rate:8,.0f}/s  p50 {window.load.p50_ms:7.2f} ms"
            )
        return windows

    def profile(self, path: Path) -> tuple[float, list[SelfTime], list[SelfTime]]:
        """Profile one replica in a window of its own, so that sampling disturbs no measured one."""
        subject = next(subject for subject in self._subjects if subject.name == "easypay")
        pid = replica_pids(self._gateway.pid)[0]
        with recorded(pid, PROFILE_SECONDS, path):
            window = self._meter.measure(subject, connections=RATIO_CONNECTIONS, seconds=PROFILE_SECONDS, turn=0)
        return window.load.rate, *self_times(path)


def turns(rounds: int, numbers: Sequence[int], subjects: Sequence[Subject]) -> Iterator[tuple[int, int, Subject]]:
    """Yield round, connections and subject; each round starts with another subject, so none is favoured."""
    for round in range(rounds):
        start = round % len(subjects)
        for connections in numbers:
            for subject in (*subjects[start:], *subjects[:start]):
                yield round, connections, subject


@contextmanager
def prepared(options: Options, generator: LoadGenerator, progress: Progress) -> Iterator[Bench]:
    """Bring the gateway and the other subjects up; take all down again, whatever happens."""
    with ExitStack() as stack:
        progress("starting the gateway")
        source = attached(options.attach) if options.attach else started(options.replicas)
        gateway = stack.enter_context(source)
        subjects: list[Subject] = []
        for name in options.subjects:
            progress(f"preparing {name}")
            if name == "easypay":
                subjects.append(easypay(gateway))
            elif name == "echo":
                subjects.append(stack.enter_context(deployed_echo(gateway, options.replicas)))
            else:
                subjects.append(stack.enter_context(running_peer(gateway, name, PEER_STYLES[name])))
        yield Bench(gateway, subjects, generator)


def choose_generator(load: str) -> LoadGenerator:
    """Return wrk where it is installed, else the built-in client, unless the choice is made."""
    wrk = Wrk.find() if load in {"auto", "wrk"} else None
    if load == "wrk" and wrk is None:
        raise BenchFailed("wrk is not installed")
    return wrk or Client()
