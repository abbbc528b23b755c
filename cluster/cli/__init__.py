"""The command line `easypay`. One file for each noun; what a command does lies in the modules beside this package."""

from __future__ import annotations

from cluster.cli.app import app


def main() -> None:
    """Run the command that the arguments name."""
    app()


__all__ = ["app", "main"]
