"""The bootstrap as a child of the launcher: a short-lived driver that puts the gateway together on a Ray that runs.

It is started while Ray still starts, to be loaded and to have the database migrated by then; the end of its standard
input tells it that Ray is there.

It says what it does on standard output, one JSON object a line: {"step": "...", "seconds": 1.2} for each step done,
and at the end {"ready": {...}} with what only it can know, the keys above all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cluster import ray_head
from cluster.data_dir import DataDir
from cluster.process_supervision import ChildPlan, Kind
from cluster.spawning import Launch

NAME = "gateway"
WHEN_INPUT_ENDS = "--when-input-ends"
DEFAULT_COMMAND = (sys.executable, "-m", "cluster.bootstrap", WHEN_INPUT_ENDS)


class Bootstrap:
    """Run the bootstrap each time that Ray was started."""

    plan: ChildPlan

    def __init__(
        self,
        data: DataDir,
        *,
        needs: frozenset[str],
        command: Sequence[str],
        environment: Callable[[], Mapping[str, str]],
        on_step: Callable[[str, float], None],
    ) -> None:
        self.plan = ChildPlan(
            NAME,
            kind=Kind.TASK,
            needs=needs | {ray_head.NAME},
            awaits=frozenset({ray_head.NAME}),
            # Actors and deployments are gone with Ray; the databases keep what they had.
            repeats_after=frozenset({ray_head.NAME}),
            # That of Ray included.
            start_s=300.0,
            stop_s=5.0,
        )
        self._data = data
        self._command = command
        self._environment = environment
        self._on_step = on_step
        self._log = data.logs / "bootstrap.log"
        self.ready: dict[str, Any] = {}

    async def prepare(self) -> Launch:
        """Nothing needs to be prepared."""
        return Launch(
            command=list(self._command),
            environment=self._environment(),
            log=self._log,
            folder=self._data.path,
            on_line=self._take_line,
        )

    async def answers(self) -> bool:
        """Never asked: a task ends."""
        return True

    async def clean(self) -> None:
        """Nothing: it starts only what Ray keeps."""

    def _take_line(self, line: str) -> None:
        message = parse_line(line)
        if message is None:
            with self._log.open("a", encoding="utf-8") as log:
                log.write(f"{line}\n")
        elif "ready" in message:
            self.ready = message["ready"]
        else:
            self._on_step(str(message["step"]), float(message.get("seconds", 0.0)))


def parse_line(line: str) -> dict[str, Any] | None:
    """Return the message in a line of output, or None where it is something else that a library printed."""
    try:
        message = json.loads(line)
    except ValueError:
        return None
    if isinstance(message, dict) and (isinstance(message.get("ready"), dict) or "step" in message):
        return message
    return None
