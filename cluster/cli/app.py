"""All commands in one place."""

from __future__ import annotations

import typer

from cluster.cli import acquirer, bench, cache, capacity, demo, down, drill, job, keys, migrate, status, tasks, top, up
from cluster.cli.db.app import app as db

app = typer.Typer(
    name="easypay",
    help="Run and operate an EasyPay payment gateway.",
    no_args_is_help=True,
    add_completion=False,
    # Tracebacks with local variables would print keys and passwords.
    pretty_exceptions_show_locals=False,
)
app.command()(up.up)
app.command()(down.down)
app.command()(status.status)
app.command()(top.top)
app.add_typer(keys.app, name="keys")
app.add_typer(cache.app, name="cache")
app.add_typer(tasks.app, name="tasks")
app.add_typer(db, name="db")
app.command()(migrate.migrate)
app.command()(demo.demo)
app.command()(capacity.capacity)
app.command(name="drill")(drill.run)
# Its options are the benchmark's own; only they know them.
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(bench.bench)
app.command()(acquirer.acquirer)
# What follows the name is the job's own.
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(job.job)
