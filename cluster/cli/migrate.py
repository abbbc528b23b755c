"""`easypay migrate`: bring the database to the schema of this version."""

from __future__ import annotations

import asyncio
from urllib.parse import unquote, urlsplit

import typer

from cluster.cli.options import DataDirOption, data_dir, fail, settings_of
from serve_app.storage.migrate import upgrade


def migrate(directory: DataDirOption = None) -> None:
    """Migrate the database of DATABASE_URL, or that of the gateway that runs on the data directory.

    `up` does this too; the command is for a database that several machines use.
    """
    settings = settings_of(data_dir(directory))
    if settings.owner_url is None or settings.database_url is None:
        fail("no database: set DATABASE_URL, or start the gateway with `easypay up`")
    app_role = unquote(urlsplit(settings.database_url.get_secret_value()).username or "")
    if not app_role:
        fail("DATABASE_URL names no user")
    try:
        asyncio.run(upgrade(settings.owner_url.get_secret_value(), app_role))
    except OSError as error:
        fail(f"the database cannot be reached: {error}")
    typer.echo("The database has the schema of this version.")
