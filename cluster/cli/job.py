"""`easypay job`: run a batch job in the Ray of a running gateway, and follow it."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import AsyncIterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from ray.exceptions import RayError
from ray.job_submission import JobStatus, JobSubmissionClient
from rich.console import Console

from cluster.cli.options import DataDirOption, data_dir, fail, messages
from cluster.cli.running import running_state

_FAILED = 2


class JobName(StrEnum):
    """The jobs that there are."""

    SETTLE = "settle"
    RECONCILE = "reconcile"
    EXPORT = "export"
    VERIFY_LEDGER = "verify_ledger"


def job(
    context: typer.Context,
    name: Annotated[JobName, typer.Argument(help="Which job.")],
    directory: DataDirOption = None,
) -> None:
    """Submit a job and follow its log; its own options come after the name, such as --json.

    Exit status: 0 done, 1 the job found exceptions, 2 it did not do its work. Ctrl-C stops the job; the next run goes
    on where it was.
    """
    data = data_dir(directory)
    state = running_state(data)
    if state is None:
        fail(f"no gateway runs on {data.path}", _FAILED)
    try:
        # Ray itself reads its token file once, when it is imported, and the caller's environment may name another one.
        token = Path(state["facts"]["ray_token_file"]).read_text(encoding="utf-8").strip()
        headers = {"Authorization": f"Bearer {token}"}
        client = JobSubmissionClient(state["facts"]["dashboard_url"], headers=headers)
        submission = client.submit_job(entrypoint=shlex.join(["python", "-m", f"cluster.jobs.{name}", *context.args]))
    except (OSError, RayError, RuntimeError) as error:
        fail(f"the job cannot be submitted: {error}", _FAILED)
    followed = asyncio.run(_follow(client, submission, as_json="--json" in context.args))
    raise typer.Exit(followed)


async def _follow(client: JobSubmissionClient, submission: str, *, as_json: bool) -> int:
    """Print the log until the job has ended; return its exit code."""
    console = messages()
    console.print(f"job {submission}", markup=False)
    log: AsyncIterator[str] = client.tail_job_logs(submission)
    last = ""
    try:
        async for text in log:
            for line in text.splitlines():
                if as_json and _is_object(line):
                    last = line
                elif not _is_of_ray(line):
                    _print(console, line, as_json)
    except asyncio.CancelledError:
        client.stop_job(submission)
        raise
    if last:
        print(last)
    info = client.get_job_info(submission)
    if info.driver_exit_code is not None:
        return int(info.driver_exit_code)
    console.print(info.message or str(info.status), markup=False)
    return 0 if info.status == JobStatus.SUCCEEDED else _FAILED


def _print(console: Console, line: str, as_json: bool) -> None:
    if as_json:
        console.print(line, markup=False)
    else:
        print(line, flush=True)


def _is_of_ray(line: str) -> bool:
    return " -- " in line and ("job_manager.py" in line or "worker.py" in line)


def _is_object(line: str) -> bool:
    try:
        value: Any = json.loads(line)
    except ValueError:
        return False
    return isinstance(value, dict)
