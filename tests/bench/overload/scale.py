"""How large and how long everything is: in earnest, and in a smoke run that only shows that it works."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tests.bench.overload.ramp import Ramp


@dataclass(frozen=True, slots=True)
class Scale:
    """Hold the sizes of one run. ``recovery_s`` is what the gateway has after a load until it must be well again,
    ``after_s`` how long it is looked at then, both from the end of the load on."""

    load_s: int
    recovery_s: int
    after_s: int
    # The slow processor: its knee is at concurrency / latency.
    latency_ms: float
    concurrency: int
    slow_ramp: Ramp
    cpu_ramp: Ramp
    flood_steady_per_s: float
    flood_alone_s: int
    cost_per_s: float
    cost_s: int
    polite_clients: int
    polite_patience_s: float
    connections: tuple[int, ...]
    connections_per_s: float
    connections_s: int
    beside_per_s: float
    beside_tasks_per_s: float
    exported_payments: int
    # 30 s of what 1,500/s offer are 45,000; the ingress holds 8,192 and the gateway should refuse long before.
    connections_max: int = 6000

    def with_processor(self, at_once: int) -> Scale:
        """Return the same with a slow processor that does so many at once, and a ramp that ends past its knee."""
        knee_per_s = at_once * 1000 / self.latency_ms
        ramp = replace(self.slow_ramp, start_per_s=knee_per_s / 3)
        return replace(self, concurrency=at_once, slow_ramp=ramp)


FULL = Scale(
    load_s=60,
    recovery_s=5,
    after_s=15,
    latency_ms=200.0,
    concurrency=100,
    slow_ramp=Ramp(start_per_s=160.0, growth=1.3, steps_max=6, step_s=6),
    cpu_ramp=Ramp(start_per_s=400.0, growth=1.3, steps_max=10, step_s=5),
    flood_steady_per_s=50.0,
    flood_alone_s=20,
    cost_per_s=500.0,
    cost_s=10,
    polite_clients=50,
    polite_patience_s=60.0,
    connections=(1000, 5000),
    connections_per_s=500.0,
    connections_s=30,
    beside_per_s=300.0,
    beside_tasks_per_s=100.0,
    exported_payments=1_000_000,
)

# Its processor does 40 a second.
SMOKE = replace(
    FULL,
    load_s=3,
    recovery_s=2,
    after_s=4,
    latency_ms=100.0,
    concurrency=4,
    slow_ramp=Ramp(start_per_s=25.0, growth=2.0, steps_max=2, step_s=2),
    cpu_ramp=Ramp(start_per_s=50.0, growth=1.5, steps_max=2, step_s=2),
    flood_steady_per_s=5.0,
    flood_alone_s=2,
    cost_per_s=100.0,
    cost_s=2,
    polite_clients=5,
    polite_patience_s=20.0,
    connections=(100,),
    connections_per_s=50.0,
    connections_s=3,
    beside_per_s=20.0,
    beside_tasks_per_s=20.0,
    exported_payments=5_000,
    connections_max=500,
)
