"""`easypay keys`: make, list and revoke API keys."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

import asyncpg
import typer
from rich.table import Column, Table

from cluster.cli.cache import forget_changes_of
from cluster.cli.options import DataDirOption, JsonOption, data_dir, fail, results, settings_of
from serve_app.merchants.administration import (
    USAGE_DAYS,
    IssuedKey,
    KeyDescription,
    create_key,
    list_keys,
    revoke_key,
)
from serve_app.merchants.secrets import MERCHANT_SCOPES

Result = TypeVar("Result")

_ID_WIDTH = len("key_") + 32

app = typer.Typer(help="Make, list and revoke API keys.", no_args_is_help=True)


@app.command()
def create(
    merchant: Annotated[str, typer.Option(help="Name of the merchant; made where there is none.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="A scope; may be repeated. Default: all that a merchant needs.", show_default=False),
    ] = None,
    rate_limit: Annotated[
        int | None,
        typer.Option(min=0, help="The merchant's requests a minute from now on; 0: no limit.", show_default=False),
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="A key that moves money.")] = False,
    expires_in_days: Annotated[int | None, typer.Option(min=1, help="Days until it expires.")] = None,
    as_json: JsonOption = False,
    directory: DataDirOption = None,
) -> None:
    """Make a key and show it. It is stored as a hash, so this is the only time."""
    database_url, pepper = _access(directory)
    expires_at = datetime.now(UTC) + timedelta(days=expires_in_days) if expires_in_days else None
    key = _run(
        create_key(
            database_url,
            pepper,
            merchant=merchant,
            scopes=scope or [each.value for each in MERCHANT_SCOPES],
            rate_limit_per_minute=rate_limit,
            livemode=live,
            expires_at=expires_at,
        )
    )
    forget_changes_of(key.merchant_id, directory)
    if as_json:
        print(_to_json(asdict(key)))
    else:
        _show_new(key)


@app.command("list")
def list_all(as_json: JsonOption = False, directory: DataDirOption = None) -> None:
    """Show every key, newest first, without the secret part, and how it is used; that may be some seconds old."""
    keys = _run(list_keys(_access(directory)[0]))
    if as_json:
        print(_to_json([asdict(key) for key in keys]))
        return
    # An id that is cut off cannot be revoked.
    table = Table(Column("Id", min_width=_ID_WIDTH), box=None, padding=(0, 2))
    for heading in ("Merchant", "Mode", "Ends in", "Scopes", "State", "Last used (UTC)", f"{USAGE_DAYS} days"):
        table.add_column(heading, overflow="fold")
    for key in keys:
        mode = "live" if key.livemode else "test"
        scopes, uses = ", ".join(key.scopes), str(key.requests_30_days)
        table.add_row(key.id, key.merchant, mode, key.last4, scopes, _state_of(key), _last_use_of(key), uses)
    results().print(table)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help='Id of the key ("key_...").')],
    directory: DataDirOption = None,
) -> None:
    """Revoke a key. A gateway that runs refuses it at once, any other within seconds."""
    merchant = _run(revoke_key(_access(directory)[0], key_id))
    if merchant is None:
        fail(f"there is no key {key_id}")
    forget_changes_of(merchant, directory, models=["api_key"])
    typer.echo(f"{key_id} is revoked.")


def _access(directory: Path | None) -> tuple[str, bytes]:
    """Return the URL of a role that may write keys, and the pepper of their hashes."""
    settings = settings_of(data_dir(directory))
    if settings.owner_url is None or settings.api_key_pepper is None:
        fail("no gateway: start one with `easypay up`, or set DATABASE_URL and API_KEY_PEPPER")
    return settings.owner_url.get_secret_value(), settings.api_key_pepper.get_secret_value().encode()


def _run(work: Coroutine[Any, Any, Result]) -> Result:
    try:
        return asyncio.run(work)
    except ValueError as error:
        fail(str(error))
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError):
        fail("the database has not all tables of this version; `easypay migrate` makes them")
    except (OSError, asyncpg.PostgresError) as error:
        fail(f"the database cannot be reached: {error}; does the gateway run?")


def _show_new(key: IssuedKey) -> None:
    console = results()
    console.print(f"{key.id} for {key.merchant} ({key.merchant_id}), scopes {', '.join(key.scopes)}", markup=False)
    console.print(key.api_key, markup=False, soft_wrap=True)
    console.print("[dim]It cannot be shown again.[/]")


def _state_of(key: KeyDescription) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if key.expires_at is None:
        return "valid"
    word = "expired" if key.expires_at <= datetime.now(UTC) else "valid until"
    return f"{word} {key.expires_at:%Y-%m-%d}"


def _last_use_of(key: KeyDescription) -> str:
    return "never" if key.last_used_at is None else f"{key.last_used_at.astimezone(UTC):%Y-%m-%d %H:%M}"


def _to_json(value: Any) -> str:
    return json.dumps(value, default=lambda moment: moment.isoformat())
