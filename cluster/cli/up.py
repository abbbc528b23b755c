"""`easypay up`: start a gateway, beside the terminal or detached from it."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.bootstrapping import DEFAULT_COMMAND
from cluster.cli.options import DataDirOption, JsonOption, data_dir, fail, messages, results
from cluster.cli.screen import ProgressScreen, show_ending
from cluster.data_dir import DataDirError
from cluster.launcher import LaunchOptions, launch
from cluster.reports import Ready, Report, decode

_LAUNCHER_LOG = "launcher.log"


def up(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when it is ready; it goes on running.")
    ] = False,
    as_json: JsonOption = False,
    port: Annotated[
        int | None, typer.Option(help="HTTP port. Default: $HTTP_PORT, else 8000.", show_default=False)
    ] = None,
    replicas: Annotated[
        int | None, typer.Option(help="HTTP replicas. Default: $HTTP_REPLICAS, else 2.", show_default=False)
    ] = None,
    db_replicas: Annotated[
        int | None,
        typer.Option(
            help="Replicas of the embedded PostgreSQL. Default: $DATABASE_REPLICAS, else 0.", show_default=False
        ),
    ] = None,
    synchronous: Annotated[
        bool | None,
        typer.Option(
            "--synchronous",
            help="A commit is acknowledged once a replica has it too. Default: $DATABASE_SYNCHRONOUS.",
            show_default=False,
        ),
    ] = None,
    directory: DataDirOption = None,
    bootstrap: Annotated[
        str | None, typer.Option(hidden=True, help="Command to run in place of the bootstrap.")
    ] = None,
) -> None:
    """Start the gateway, with PostgreSQL and Redis of its own unless DATABASE_URL and REDIS_URL name others."""
    options = LaunchOptions(
        data_dir=str(data_dir(directory).path),
        port=port,
        replicas=replicas,
        db_replicas=db_replicas,
        synchronous=synchronous,
        bootstrap_command=shlex.split(bootstrap) if bootstrap else DEFAULT_COMMAND,
    )
    with ProgressScreen(messages()) as screen:
        run = _run_detached if detach else _run_attached
        status = run(options, screen, as_json=as_json)
    if screen.fault is not None:
        fail(screen.fault)
    raise typer.Exit(status)


def _run_attached(options: LaunchOptions, screen: ProgressScreen, *, as_json: bool) -> int:
    def report(what: Report) -> None:
        first = screen.facts is None
        # A terminal that was closed is no reason to leave the gateway without its launcher in the middle of a stop.
        with suppress(OSError):
            screen(what)
            if isinstance(what, Ready) and first:
                _show(what.facts, as_json=as_json, detached=False)

    return asyncio.run(launch(options, report))


def _run_detached(options: LaunchOptions, screen: ProgressScreen, *, as_json: bool) -> int:
    read_end, write_end = os.pipe()
    process = _spawn_launcher(options, write_end)
    os.close(write_end)
    # Whoever gives up waiting does not want half a gateway.
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    try:
        with os.fdopen(read_end, encoding="utf-8") as reports:
            for line in reports:
                screen(decode(line))
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    if screen.facts is not None:
        _show(screen.facts, as_json=as_json, detached=True)
        return 0
    status = process.wait()
    if screen.fault is None:
        screen.fault = f"the launcher ended with status {status}; see {_log_of(options)}"
    return status


def _spawn_launcher(options: LaunchOptions, pipe: int) -> subprocess.Popen[bytes]:
    data = data_dir(Path(options.data_dir))
    try:
        data.create()
    except DataDirError as error:
        fail(str(error))
    with _log_of(options).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "cluster.launcher", options.to_json(), str(pipe)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[pipe],
            start_new_session=True,
        )


def _log_of(options: LaunchOptions) -> Path:
    return data_dir(Path(options.data_dir)).logs / _LAUNCHER_LOG


def _show(facts: dict[str, Any], *, as_json: bool, detached: bool) -> None:
    if as_json:
        print(json.dumps(facts), flush=True)
    else:
        show_ending(results(), facts, detached=detached)
