"""One thing that is worth doing, and how it is said to the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum


class Action(Enum):
    """What is done."""

    DROP_LEFTOVER = "drop_leftover"
    """An invalid index that a REINDEX CONCURRENTLY which was cut short has left behind."""
    MAKE_PARTITIONS = "make_partitions"
    DROP_PARTITION = "drop_partition"
    VACUUM = "vacuum"
    ANALYZE = "analyze"
    REINDEX = "reindex"
    NAME_HOLDER = "name_holder"
    """Somebody holds the horizon and is not ours to end."""
    END_SESSION = "end_session"


class Urgency(IntEnum):
    """How much it may cost others."""

    IDLE = 1
    """Only while the database is quiet."""
    DUE = 2
    """Also while it is busy, slowed down."""
    URGENT = 3
    """At once and at full speed: the server would stop taking writes."""


Numbers = Mapping[str, float | int | str | None]


@dataclass(frozen=True, slots=True)
class Step:
    """A step. ``target`` is the table, index or set of partitions; ``before`` is what it was decided on."""

    action: Action
    target: str
    urgency: Urgency
    reason: str
    statement: str
    cost_bytes: int = 0
    before: Numbers = field(default_factory=dict)


def quoted(name: str) -> str:
    """Return a name, with its schema before a dot, as SQL takes it. Our names have no dot in themselves."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in name.split(".", 1))
