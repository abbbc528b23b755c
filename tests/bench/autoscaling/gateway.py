"""A gateway in virtual time: replicas that start, serve, queue and stop, under requests that arrive second by second.

A fluid model. In a second, what waits and what arrives is worked on as far as the processors reach; the rest waits,
spread evenly, up to the bound of the queue, and what is over that is refused. The 99th percentile of the time that the
gateway itself takes is that of a queue with one server and random arrivals (M/M/1: an exponential distribution), and
the time that the queue at the end of the second takes to be worked off is added to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from ray.serve._private.common import RUNNING_REQUESTS_KEY
from ray.serve.config import AutoscalingConfig

from serve_app.scaling.load import ADMITTED, ARRIVED, CPU_S, IN_FLIGHT
from tests.bench.autoscaling.serve_side import ReportingReplica, ServeAutoscaler, VirtualClock

P99 = math.log(100)


@dataclass(frozen=True, slots=True)
class Machine:
    """What a replica is like; times in seconds."""

    request_cpu_s: float = 0.002
    processor_s: float = 0.2
    start_s: float = 15.0
    queue_max: int = 1000
    target_p99_s: float = 0.1
    push_s: float = 2.0

    @property
    def rate_max(self) -> float:
        """The requests that a replica serves in a second at most."""
        return 1 / self.request_cpu_s


@dataclass(slots=True)
class Outcome:
    """What came of a policy on a trace."""

    seconds: int = 0
    late_s: int = 0
    replica_s: float = 0.0
    requests: float = 0.0
    refused: float = 0.0
    changes: int = 0
    replicas: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Replica:
    reports: ReportingReplica
    ready_at: float
    arrived: float = 0.0
    admitted: float = 0.0
    cpu_s: float = 0.0


class SimulatedGateway:
    """Replicas under one autoscaler."""

    def __init__(self, config: AutoscalingConfig, machine: Machine, clock: VirtualClock) -> None:
        self._config = config
        self._machine = machine
        self._clock = clock
        self._made = 0
        self._replicas: list[_Replica] = []
        self._waiting = 0.0
        self._autoscaler = ServeAutoscaler(config, clock)
        self.outcome = Outcome()
        for _ in range(self._autoscaler.target):
            self._start(ready_at=clock.now)

    def run(self, arrivals: Sequence[float], warm_up_s: int = 0) -> Outcome:
        """Serve the requests of each second in turn, and return what came of those after the warm-up."""
        with self._clock.in_serve():
            for arriving in arrivals[:warm_up_s]:
                self._second(arriving)
            self.outcome = Outcome()
            for arriving in arrivals[warm_up_s:]:
                self._second(arriving)
        return self.outcome

    def _second(self, arriving: float) -> None:
        now = self._clock.now
        running = [replica for replica in self._replicas if replica.ready_at <= now]
        in_flight = self._serve(running, arriving)
        self._clock.now = now + 1
        self._report(running, in_flight)
        target = self._autoscaler.decide([replica.reports.id for replica in running])
        self._adjust(target)
        self.outcome.replica_s += len(self._replicas)
        self.outcome.replicas.append(len(running))

    def _serve(self, running: list[_Replica], arriving: float) -> float:
        """Work for a second and return how many requests are in flight at each replica."""
        machine, count = self._machine, len(running)
        most = count * machine.rate_max
        offered = self._waiting + arriving
        served = min(offered, most)
        waiting = min(offered - served, count * float(machine.queue_max))
        refused = offered - served - waiting
        self._waiting = waiting
        # What passes so far that not even a refusal was had for it, is refused by the ingress and seen by nobody.
        seen = arriving - max(0.0, refused - most)
        for replica in running:
            replica.arrived += seen / count
            replica.admitted += (arriving - refused) / count
            replica.cpu_s += served * machine.request_cpu_s / count
        utilisation = min(served / most, 0.999)
        own_s = machine.request_cpu_s / (1 - utilisation)
        p99_s = own_s * P99 + waiting / most
        self._count(arriving, refused, late=p99_s > machine.target_p99_s or refused > 0)
        return (served * (own_s + machine.processor_s) + waiting) / count

    def _count(self, arriving: float, refused: float, *, late: bool) -> None:
        self.outcome.seconds += 1
        self.outcome.late_s += late
        self.outcome.requests += arriving
        self.outcome.refused += refused

    def _report(self, running: list[_Replica], in_flight: float) -> None:
        for replica in running:
            figures = {
                RUNNING_REQUESTS_KEY: in_flight,
                IN_FLIGHT: in_flight,
                ARRIVED: replica.arrived,
                ADMITTED: replica.admitted,
                CPU_S: replica.cpu_s,
            }
            report = replica.reports.record(figures, self._clock.now)
            if report is not None:
                self._autoscaler.report(report)

    def _adjust(self, target: int) -> None:
        self.outcome.changes += target != len(self._replicas)
        while len(self._replicas) < target:
            self._start(ready_at=self._clock.now + self._machine.start_s)
        while len(self._replicas) > target:
            # The last to have been started goes, whether it is ready or not.
            self._autoscaler.stopped(self._replicas.pop().reports.id)

    def _start(self, ready_at: float) -> None:
        self._made += 1
        reports = ReportingReplica(self._made, self._config, self._machine.push_s)
        self._replicas.append(_Replica(reports, ready_at))
