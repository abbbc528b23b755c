"""`easypay db promote`: a replica becomes the primary."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Annotated

import typer

from cluster.cli.options import DataDirOption, JsonOption, data_dir, fail, messages, results
from cluster.embedded.postgres_promotion import CannotPromote, Promotion, PromotionPending, promote_embedded


def promote(
    server: Annotated[
        str | None,
        typer.Argument(help="Such as postgres-2. Default: the replica that has most of the log.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    directory: DataDirOption = None,
) -> None:
    """Make a replica of the embedded PostgreSQL the primary; the old primary becomes a replica. Payments go on."""
    data = data_dir(directory)
    if data.holder() is None:
        fail(f"no gateway runs on {data.path}")
    try:
        with messages().status("Promoting"):
            done = asyncio.run(promote_embedded(data, server))
    except (CannotPromote, PromotionPending) as fault:
        fail(str(fault))
    _show(done, as_json=as_json)


def _show(done: Promotion, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(asdict(done)))
        return
    results().print(
        f"{done.new} is the primary: {done.old} was down after {done.stopped_s:.1f} s, and {done.new} could be written"
        f" to after {done.writable_s:.1f} s. {done.old} comes back as its replica."
    )
