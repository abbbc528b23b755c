"""What outlives a monitor: it is written down, and read by the one that comes after it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from actors.monitor.alerts import AlertState, AlertView, Kept, Severity
from actors.monitor.burn import KeptBurn
from actors.monitor.messages import Change
from actors.monitor.series import Labels
from actors.monitor.silences import Silence

VERSION = 1


class Saved(NamedTuple):
    """Alerts, silences, changes, and what is known of error budgets by objective; all as it was at ``at``."""

    at: datetime
    alerts: tuple[Kept, ...]
    silences: tuple[Silence, ...]
    burns: Mapping[str, KeptBurn]
    changes: tuple[Change, ...]


def encoded(saved: Saved) -> bytes:
    """Return it as JSON: who can write where it is kept can make us believe what is wrong, but run nothing."""
    document = {
        "version": VERSION,
        "at": saved.at.isoformat(),
        "alerts": [_alert_document(each) for each in saved.alerts],
        "silences": [{**each._asdict(), "until": each.until.isoformat()} for each in saved.silences],
        "burns": saved.burns,
        "changes": [_change_document(each) for each in saved.changes],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def decoded(text: bytes) -> Saved:
    """Return what was encoded. Raises ``ValueError`` where it is something else, or of another version."""
    try:
        document = json.loads(text)
        if document["version"] != VERSION:
            raise ValueError(f"it is of version {document['version']}")
        return Saved(
            datetime.fromisoformat(document["at"]),
            tuple(map(_alert, document["alerts"])),
            tuple(_silence(each) for each in document["silences"]),
            {name: _burn(*kept) for name, kept in document["burns"].items()},
            tuple(map(_change, document["changes"])),
        )
    except (AttributeError, KeyError, TypeError) as wrong:
        raise ValueError(f"it is not what a monitor saved: {wrong!r}") from wrong


def _alert_document(kept: Kept) -> dict[str, Any]:
    view = kept.view
    return {
        **kept._asdict(),
        "view": {
            **view._asdict(),
            "severity": view.severity.value,
            "state": view.state.value,
            "since": view.since.isoformat(),
            "changes": [_change_document(each) for each in view.changes],
            "silenced_until": None,
        },
    }


def _alert(document: dict[str, Any]) -> Kept:
    view = document["view"]
    return Kept(
        AlertView(
            **{
                **view,
                "labels": _labels(view["labels"]),
                "severity": Severity(view["severity"]),
                "state": AlertState(view["state"]),
                "since": datetime.fromisoformat(view["since"]),
                "changes": tuple(map(_change, view["changes"])),
            }
        ),
        # One that is not there has come with a later version.
        **{name: document[name] for name in Kept._fields[1:] if name in document},
    )


def _burn(since: float | None, tiers: list[list[list[float]]]) -> KeptBurn:
    return KeptBurn(since, tuple(tuple((at, bad, events) for at, bad, events in tier) for tier in tiers))


def _silence(document: dict[str, Any]) -> Silence:
    until = datetime.fromisoformat(document["until"])
    return Silence(**{**document, "labels": _labels(document["labels"]), "until": until})


def _change_document(change: Change) -> dict[str, Any]:
    return {**change._asdict(), "at": change.at.isoformat()}


def _change(document: dict[str, Any]) -> Change:
    return Change(**{**document, "at": datetime.fromisoformat(document["at"])})


def _labels(pairs: list[list[str]]) -> Labels:
    return tuple((name, value) for name, value in pairs)
