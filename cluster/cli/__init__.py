"""The command line `easypay`. One file for each noun; what a command does lies in the modules beside this package."""

from __future__ import annotations

import sys

from cluster.cli.app import command_line


def main() -> None:
    """Run the command that the arguments name."""
    command_line(sys.argv[1] if len(sys.argv) > 1 else None)()


__all__ = ["command_line", "main"]
