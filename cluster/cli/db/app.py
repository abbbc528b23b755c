"""The commands of `easypay db`."""

from __future__ import annotations

import typer

from cluster.cli.db import maintain, optimize, pool, promote

app = typer.Typer(help="See, steer and look after the database.", no_args_is_help=True)
app.command()(maintain.maintain)
app.command()(optimize.advise)
app.command()(optimize.indexes)
app.command()(optimize.journal)
app.command()(promote.promote)
app.add_typer(pool.app, name="pool")
