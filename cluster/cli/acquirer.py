"""`easypay acquirer`: the simulated processor as a program of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cluster.settings import check_secret
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
    callback_url: Annotated[
        str | None,
        typer.Option(help="Where a gateway is told what is finished: .../v1/processors/acquirer/callbacks."),
    ] = None,
    callback_secret: Annotated[
        str | None,
        typer.Option(
            envvar="PROCESSOR_CALLBACK_SECRET", show_envvar=True, help="Signs that, whsec_...; best in the environment."
        ),
    ] = None,
) -> None:
    """Run a processor that charges nobody, with a ledger on disk. PROCESSOR_URL makes a gateway use it."""
    if callback_url is not None:
        try:
            check_secret(callback_secret or "")
        except ValueError as fault:
            raise typer.BadParameter(str(fault), param_hint="--callback-secret") from None
    run(
        host,
        port,
        data_path=data,
        latency_ms=latency_ms,
        jitter_ms=jitter_ms,
        seed=seed,
        failure_rate=failure_rate,
        concurrency=concurrency,
        callback_url=callback_url,
        callback_secret=callback_secret or "",
    )
