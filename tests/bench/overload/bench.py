"""What every part has: a gateway, a load, and somebody to tell how far it is."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.bench.gateway import Gateway, started
from tests.bench.overload.generator import Plan
from tests.bench.overload.mix import Mix
from tests.bench.overload.options import Options
from tests.bench.overload.processes import run
from tests.bench.overload.ramp import Climb, Ramp, climb
from tests.bench.overload.stream import Stream
from tests.bench.overload.tally import Tally
from tests.support.acquirer import AcquirerProcess

WARM_UP_S = 2


@dataclass(frozen=True, slots=True)
class Bench:
    """Start gateways as the options say, and load them."""

    options: Options
    progress: Callable[[str], None]

    @contextmanager
    def gateway(self, settings: Mapping[str, str] | None = None) -> Iterator[Gateway]:
        """Have a gateway of one's own."""
        self.progress("starting a gateway")
        with started(self.options.replicas, settings) as gateway:
            yield gateway
            self.progress("taking it down")

    @contextmanager
    def slow_gateway(self) -> Iterator[Gateway]:
        """Have one with a processor of its own, of which it is known how much it can do."""
        scale = self.options.scale
        with tempfile.TemporaryDirectory(prefix="epb-") as folder:
            acquirer = AcquirerProcess(
                Path(folder, "ledger"), latency_ms=scale.latency_ms, concurrency=scale.concurrency
            )
            try:
                with self.gateway({"PROCESSOR_URL": acquirer.url}) as gateway:
                    yield gateway
            finally:
                acquirer.stop()

    def load(
        self,
        gateway: Gateway,
        streams: Iterable[Stream],
        *,
        open_first: int = 0,
        meanwhile: Callable[[], None] | None = None,
    ) -> Tally:
        """Offer streams and return what became of them; with ``open_first`` over so many connections in turn."""
        address = urlsplit(gateway.url)
        assert address.hostname is not None
        assert address.port is not None
        plan = Plan(
            address.hostname,
            address.port,
            tuple(streams),
            connections_max=max(open_first, self.options.scale.connections_max),
            open_first=open_first,
            rotates=open_first > 0,
            seed=self.options.seed,
        )
        return run(plan, self.options.processes, meanwhile)

    def knee(self, gateway: Gateway, mix: Mix, ramp: Ramp) -> Climb:
        """Find how much of a mix the gateway can do."""
        self.progress("warming up")
        self.load(gateway, mix.streams(ramp.start_per_s, 0, WARM_UP_S))

        def goodput(rate: float) -> float:
            # Evenly paced: chance would move the goodput of so short a step by some per cent.
            tally = self.load(gateway, mix.streams(rate, 0, ramp.step_s, paced=True))
            # What was due before the window and answered within would make it more than was offered.
            got = min(rate, tally.goodput(1, ramp.step_s, mix.work()))
            self.progress(f"ramp: {rate:,.0f}/s offered, goodput {got:,.0f}/s, {tally.cpu_us_each:.0f} us each")
            return got

        return climb(ramp, goodput)
