"""What a running launcher writes down about its gateway, for the commands that are typed elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cluster.private_file import write_private


class StateFile:
    """Keep the last known state of a gateway. It holds keys and passwords, and is readable by its user alone."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def write(self, *, facts: Mapping[str, Any], ready: bool, children: Mapping[str, Any]) -> None:
        """Replace the state. The facts are what `easypay up --json` prints."""
        state = {"ready": ready, "facts": dict(facts), "children": dict(children)}
        write_private(self._file, json.dumps(state, indent=1))

    def read(self) -> dict[str, Any] | None:
        """Return the last state, or None where no launcher has written one or it has ended in order."""
        if not self._file.exists():
            return None
        state: dict[str, Any] = json.loads(self._file.read_text(encoding="utf-8"))
        return state

    def remove(self) -> None:
        """Forget the state at an orderly end."""
        self._file.unlink(missing_ok=True)
