"""What was done before, as far as it matters for what is done next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from actors.maintenance.step import Action, Numbers


@dataclass(frozen=True, slots=True)
class Past:
    """The last time that something was done to a target."""

    at: datetime
    was_done: bool
    before: Numbers
    after: Numbers


History = Mapping[tuple[Action, str], Past]


def number(numbers: Numbers, name: str, default: float = 0.0) -> float:
    """Return a figure, the default where there is none."""
    found = numbers.get(name)
    return float(found) if isinstance(found, int | float) else default
