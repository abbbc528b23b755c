"""Options that several jobs share."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

DayOption = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="A day in UTC, such as 2026-01-31.")]
OutputOption = Annotated[
    Path | None, typer.Option(help="Folder to write to. Default: jobs/NAME in the data directory.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else to standard output.")]


def day_of(option: datetime | None) -> date | None:
    """Return the day that an option names."""
    return None if option is None else option.date()


def moment_of(option: datetime | None) -> datetime | None:
    """Return the first moment of the day that an option names."""
    return None if option is None else option.replace(tzinfo=UTC)
