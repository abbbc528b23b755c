"""How long requests took inside the gateway, as its own log of them says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

READ_ROUTE = "/v1/payments/{payment_id}"
_REQUEST = b'"event":"request"'


class RequestLog:
    """Reads what the replicas of a gateway log from now on. They write a line within a fifth of a second."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._read_to = {log: log.stat().st_size for log in self._logs()}

    def mean_read_ms(self) -> float | None:
        """Return the mean of successful reads of a payment, None where there were none."""
        took = [
            line["took_ms"]
            for line in self._lines()
            if (line["method"], line["route"], line["status"]) == ("GET", READ_ROUTE, 200)
        ]
        return fmean(took) if took else None

    def _logs(self) -> set[Path]:
        # What processes of actors print, under each of the names that Ray gives to a session's folder.
        return {log.resolve() for log in self._data_dir.rglob("worker-*.out")}

    def _lines(self) -> Iterator[dict[str, Any]]:
        for log in self._logs():
            with log.open("rb") as lines:
                lines.seek(self._read_to.get(log, 0))
                yield from (json.loads(line) for line in lines if _REQUEST in line)
