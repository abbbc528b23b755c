"""Processes of its own for the load, so that whoever measures the gateway is not in its way."""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, wait

from tests.bench.overload.generator import Plan, offer
from tests.bench.overload.tally import Tally

WATCH_S = 1.0


def run(plan: Plan, processes: int = 1, meanwhile: Callable[[], None] | None = None) -> Tally:
    """Offer a load and return what became of it; ``meanwhile`` is called every second until then."""
    # Spawned, not forked: the parent may hold threads and sockets that a child must not inherit.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=raise_descriptor_limit) as pool:
        running: list[Future[Tally]] = [
            pool.submit(offer, plan.share(process, processes)) for process in range(processes)
        ]
        left: set[Future[Tally]] = set(running)
        while left:
            _, left = wait(left, WATCH_S)
            if meanwhile is not None:
                meanwhile()
        tally, *others = [each.result() for each in running]
    for other in others:
        tally.add(other)
    return tally


def raise_descriptor_limit() -> None:
    """Allow as many descriptors as the system does: each connection takes one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
