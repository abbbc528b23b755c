"""What a launcher says while it works: to a screen beside it, or as lines of JSON to the command that detached it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class StepStarted:
    """Something is being started."""

    label: str


@dataclass(frozen=True, slots=True)
class StepDone:
    """It is ready."""

    label: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Notice:
    """Something happened that an operator should know."""

    text: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The gateway takes payments; `facts` is what `easypay up --json` prints."""

    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failed:
    """The start failed, and nothing of it is left running."""

    text: str


Report = StepStarted | StepDone | Notice | Ready | Failed
Reporter = Callable[[Report], None]

_KINDS = {kind.__name__: kind for kind in (StepStarted, StepDone, Notice, Ready, Failed)}


def encode(report: Report) -> str:
    """Return a report as one line of JSON."""
    return json.dumps({"kind": type(report).__name__, **asdict(report)})


def decode(line: str) -> Report:
    """Return the report in a line that `encode` made."""
    values = json.loads(line)
    report: Report = _KINDS[values.pop("kind")](**values)
    return report


class PipeReporter:
    """Write reports to a pipe until they have nobody to read them any more."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def __call__(self, report: Report) -> None:
        if self._descriptor is None:
            return
        try:
            os.write(self._descriptor, f"{encode(report)}\n".encode())
        except BrokenPipeError:
            self.close()
        else:
            if isinstance(report, Ready | Failed):
                self.close()

    def close(self) -> None:
        """Close the pipe; the command at its other end goes on."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
