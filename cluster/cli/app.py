"""All commands in one place. Each is loaded when it is asked for: the others bring in most of what there is."""

from __future__ import annotations

from importlib import import_module

import typer

_COMMANDS = {
    "up": "up:up",
    "down": "down:down",
    "status": "status:status",
    "top": "top:top",
    "migrate": "migrate:migrate",
    "demo": "demo:demo",
    "capacity": "capacity:capacity",
    "drill": "drill:run",
    "bench": "bench:bench",
    "acquirer": "acquirer:acquirer",
    "job": "job:job",
    "keys": "keys:app",
    "cache": "cache:app",
    "tasks": "tasks:app",
    "db": "db.app:app",
}
"""The modules of this package and what is in them: a function, or a group of commands."""

# What follows is for the benchmark or the job; only they know their options.
_HANDS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
_CONTEXTS = {"bench": _HANDS_ON, "job": _HANDS_ON}


def command_line(word: str | None = None) -> typer.Typer:
    """Return the command line: all of it, or only the command that is named ``word`` where there is one."""
    app = typer.Typer(
        name="easypay",
        help="Run and operate an EasyPay payment gateway.",
        no_args_is_help=True,
        add_completion=False,
        # Tracebacks with local variables would print keys and passwords.
        pretty_exceptions_show_locals=False,
    )
    app.callback()(_takes_a_command)
    for name in [word] if word in _COMMANDS else _COMMANDS:
        _add(app, name)
    return app


def _add(app: typer.Typer, name: str) -> None:
    module, _, attribute = _COMMANDS[name].partition(":")
    found = getattr(import_module(f"cluster.cli.{module}"), attribute)
    if isinstance(found, typer.Typer):
        app.add_typer(found, name=name)
    else:
        app.command(name=name, context_settings=_CONTEXTS.get(name))(found)


def _takes_a_command() -> None:
    # Without this Typer takes a command line with one command for that command.
    pass
