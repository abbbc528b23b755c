"""`easypay acquirer`: the simulated processor as a program of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serve_app.processors.acquirer import run


def acquirer(
    data: Annotated[Path, typer.Option(help="File of its ledger.")],
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 8100,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    latency_ms: Annotated[float, typer.Option(min=0, help="How long it takes over an operation.")] = 0.0,
    jitter_ms: Annotated[float, typer.Option(min=0, help="How much longer at most, by chance.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of its chances.")] = 0,
    failure_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of operations that fail.")] = 0.0,
    concurrency: Annotated[int, typer.Option(min=1, help="Operations at once; more have to wait.")] = 1_000,
) -> None:
    """Run a processor that charges nobody, with a ledger on disk. PROCESSOR_URL makes a gateway use it."""
    run(
        host,
        port,
        data_path=data,
        latency_ms=latency_ms,
        jitter_ms=jitter_ms,
        seed=seed,
        failure_rate=failure_rate,
        concurrency=concurrency,
    )
