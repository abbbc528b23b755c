"""Options that several commands share, and how a command ends with a fault."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from cluster.data_dir import DataDir, default_data_dir
from cluster.settings import Settings, SettingsError, read_environment, read_settings

_FILE_WIDTH = 240

DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        help="Where the gateway keeps its data, keys and logs. Default: $EASYPAY_DATA_DIR, else .easypay here.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def data_dir(option: Path | None) -> DataDir:
    """Return the data directory that a command works on."""
    return DataDir(option or default_data_dir())


def settings_of(data: DataDir) -> Settings:
    """Return the settings of the gateway on a data directory: as it was last started, else as the environment says."""
    try:
        return read_settings(data.settings_file) if data.settings_file.exists() else read_environment()
    except SettingsError as error:
        fail(str(error))


def results() -> Console:
    """Return the console for a command's result. Where that goes to a file or a program, lines are not folded."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_FILE_WIDTH)


def messages() -> Console:
    """Return the console for what is not a command's result; standard output is kept for that."""
    return Console(stderr=True, highlight=False)


def fail(message: str, status: int = 1) -> NoReturn:
    """End the command with a message on standard error."""
    print(f"easypay: {message}", file=sys.stderr)
    raise typer.Exit(status)
