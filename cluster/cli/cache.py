"""`easypay cache`: see how the cache of a running gateway does, have it forget, load, or spread over more shards."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from actors.cache.sharding.stored import SHARDS_MAX
from cluster.cli.client import request
from cluster.cli.options import DataDirOption, JsonOption, data_dir, fail, messages, results
from cluster.cli.running import running_state

_MIB = 1024 * 1024
_PATH = "/ops/api/cache"
_FORGET_TIMEOUT_S = 5.0
_LEVELS = ("shard", "redis", "database", "begin")
_CHANGE_WITHIN_S = 120.0
_LOOK_EVERY_S = 0.2

app = typer.Typer(help="See and steer the cache.", no_args_is_help=True)


@app.command()
def stats(as_json: JsonOption = False, directory: DataDirOption = None) -> None:
    """Show the shards, how reads of each model ended, and how long what takes time took."""
    state = _call(directory, "", None)
    if as_json:
        print(json.dumps(state))
        return
    if not state["shards"]:
        results().print("The cache is switched off.")
        return
    for table in (_shards(state["shards"]), _models(state["models"]), _latencies(state["models"])):
        results().print(table)


@app.command()
def invalidate(
    model: Annotated[list[str] | None, typer.Option(help="Forget all of a model, such as payment.")] = None,
    merchant: Annotated[list[str] | None, typer.Option(help="Forget all lists of a merchant (mer_...).")] = None,
    as_json: JsonOption = False,
    directory: DataDirOption = None,
) -> None:
    """Have every cache forget; when the command ends nobody serves it any more."""
    answer = _call(directory, "/invalidate", {"models": model or [], "merchants": merchant or []})
    print(json.dumps(answer) if as_json else f"{answer['dropped']} values dropped")


@app.command()
def warm(
    merchant: Annotated[str, typer.Option(help="Whose payments (mer_...).")],
    count: Annotated[int, typer.Option(min=1, help="How many of the newest.")] = 1000,
    live: Annotated[bool, typer.Option("--live", help="Live payments instead of test payments.")] = False,
    as_json: JsonOption = False,
    directory: DataDirOption = None,
) -> None:
    """Load a merchant's newest payments."""
    answer = _call(directory, "/warm", {"merchant": merchant, "livemode": live, "count": count})
    print(json.dumps(answer) if as_json else f"{answer['payments']} payments are cached")


@app.command()
def shards(
    count: Annotated[
        int | None, typer.Option(min=1, max=SHARDS_MAX, help="Change to so many while the gateway runs.")
    ] = None,
    as_json: JsonOption = False,
    directory: DataDirOption = None,
) -> None:
    """Show how many shards the cache has, or change that.

    A change takes some seconds, of which nothing is cached for about three. It ends also if this command is stopped.
    """
    ring = _call(directory, "/shards", None if count is None else {"count": count})
    give_up = time.monotonic() + _CHANGE_WITHIN_S
    while count is not None and not _is_settled(ring):
        if time.monotonic() > give_up:
            fail(f"there are {ring['count']} shards, and the change to {ring['wanted']} goes on")
        time.sleep(_LOOK_EVERY_S)
        ring = _call(directory, "/shards", None)
    if as_json:
        print(json.dumps(ring))
    elif _is_settled(ring):
        results().print(f"{ring['count']} shards")
    else:
        results().print(f"{ring['count']} shards, changing to {ring['wanted']}")


def _is_settled(ring: dict[str, Any]) -> bool:
    return not ring["changing"] and ring["count"] == ring["wanted"]


def forget_changes_of(merchant: str, directory: Path | None, *, models: Sequence[str] = ()) -> None:
    """Have a gateway that runs forget the audit trail of this merchant, which has just changed, and whole models.

    Where it does not answer it forgets by itself, API keys within two seconds.
    """
    facts = _facts(directory)
    if facts is not None:
        body = {"models": list(models), "merchants": [merchant]}
        try:
            request(f"{facts['url']}{_PATH}/invalidate", key=facts["admin_key"], body=body, timeout_s=_FORGET_TIMEOUT_S)
        except OSError as error:
            messages().print(f"the gateway was not told ({error}); it takes seconds until it hears of the change")


def _call(directory: Path | None, path: str, body: dict[str, Any] | None) -> Any:
    return call_operations(directory, f"{_PATH}{path}", body)


def call_operations(directory: Path | None, path: str, body: dict[str, Any] | None) -> Any:
    """Call a path of the gateway that runs on a directory, with its admin key, and return the answer's body; end the
    command where it fails.
    """
    facts = _facts(directory)
    if facts is None:
        fail(f"no gateway runs on {data_dir(directory).path}; start one with easypay up")
    try:
        answer = request(f"{facts['url']}{path}", key=facts["admin_key"], body=body)
    except OSError as error:
        fail(f"the gateway does not answer: {error}")
    if answer.status not in (200, 202):
        fail(_fault(answer.body))
    return answer.body


def _facts(directory: Path | None) -> dict[str, Any] | None:
    """Return what the launcher knows of its gateway, None where none runs."""
    data = data_dir(directory)
    state = running_state(data)
    return None if state is None or "admin_key" not in state["facts"] else state["facts"]


def _fault(problem: Any) -> str:
    if not isinstance(problem, dict):
        return "the gateway's answer cannot be read"
    fields = "; ".join(f"{error['field']}: {error['message']}" for error in problem.get("errors", []))
    return fields or str(problem.get("detail", problem.get("title")))


def _shards(states: Sequence[dict[str, Any]]) -> Table:
    shards = Table(
        *("Shard", "State", "Values", "MiB", "of", "Evicted", "Processes", "Held near", "To apply"),
        box=None,
        padding=(0, 2),
    )
    for shard in states:
        shards.add_row(
            shard["name"],
            "ready" if shard["ready"] else "[yellow]not ready[/]",
            str(shard.get("entries", "")),
            _mib(shard.get("bytes_used")),
            _mib(shard.get("bound_bytes")),
            str(shard.get("evictions", "")),
            str(shard.get("sessions", "")),
            str(shard.get("held", "")),
            _unapplied(shard),
        )
    return shards


def _models(counted: dict[str, Any]) -> Table:
    models = Table("Model", "Reads", "Hit rate", "Near", "Shard", "Loads", "Bypassed", box=None, padding=(0, 2))
    for name, counts in counted.items():
        models.add_row(
            name,
            str(counts["reads"]),
            "" if counts["hit_rate"] is None else f"{counts['hit_rate']:.1%}",
            str(counts["near_hits"] + counts["joined"]),
            str(counts["shard_hits"]),
            str(counts["loads"]),
            str(sum(counts["bypasses"].values())),
        )
    return models


def _latencies(counted: dict[str, Any]) -> Table:
    """Show what nearly all took: half of them, and 99 in 100."""
    latencies = Table("p50 / p99 in ms", *map(str.capitalize, _LEVELS), box=None, padding=(0, 2))
    for name, counts in counted.items():
        latencies.add_row(name, *(_quantiles(counts["latency"][level]) for level in _LEVELS))
    return latencies


def _quantiles(latency: dict[str, Any]) -> str:
    return f"{latency['p50_s'] * 1000:.2f} / {latency['p99_s'] * 1000:.2f}" if latency["count"] else ""


def _unapplied(shard: dict[str, Any]) -> str:
    """Say how many writes wait in the journal, and whether it gets on."""
    count = shard.get("unapplied")
    text = "" if count is None else str(count)
    return f"[yellow]{text or '?'} stuck[/]" if shard.get("journal_fault") else text


def _mib(size: int | None) -> str:
    return "" if size is None else f"{size / _MIB:.1f}"
