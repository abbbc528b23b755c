"""Judges who keeps dead rows from being removed: whom to name, and whom to end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from actors.maintenance.past import Past
from actors.maintenance.step import Action, Step, Urgency

END_STATEMENT = "SELECT pg_terminate_backend(pid)"


class Kind(Enum):
    """How the horizon is held."""

    IDLE_IN_TRANSACTION = "idle_in_transaction"
    STATEMENT = "statement"
    """A statement that runs, or a snapshot between two."""
    STANDBY = "standby"
    REPLICATION_SLOT = "replication_slot"
    """One that nobody reads from."""
    PREPARED_TRANSACTION = "prepared_transaction"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds it. ``seconds`` is for how long, None where the server does not tell; ``xids`` how far back."""

    kind: Kind
    name: str
    role: str | None
    pid: int | None
    since: datetime | None
    seconds: float | None
    xids: int | None


@dataclass(frozen=True, slots=True)
class HorizonRules:
    """What is too long, and whose sessions are ended for it.

    Only those of ``roles``: of them what is idle in a transaction, and of what runs a statement only what bears a name
    that begins with one of ``names``, which the gateway gives its own connections. A backup or a person at work is
    named, and left alone. ``xids_max`` is for what has no time, such as a replication slot.
    """

    seconds_max: float = 600.0
    xids_max: int = 10_000_000
    roles: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()

    def is_too_long(self, holder: Holder) -> bool:
        """Tell whether it holds it for too long."""
        if holder.seconds is not None and holder.seconds >= self.seconds_max:
            return True
        return holder.seconds is None and (holder.xids or 0) >= self.xids_max

    def may_end(self, holder: Holder) -> bool:
        """Tell whether it is ours to end."""
        if holder.pid is None or holder.role not in self.roles:
            return False
        if holder.kind is Kind.IDLE_IN_TRANSACTION:
            return True
        return holder.kind is Kind.STATEMENT and holder.name.startswith(self.names) and bool(self.names)


def judge(holders: Iterable[Holder], rules: HorizonRules) -> list[tuple[Holder, Step]]:
    """Return those that hold it for too long, each with what is to be done."""
    return [(holder, _step(holder, rules)) for holder in holders if rules.is_too_long(holder)]


def is_news(step: Step, past: Past | None, now: datetime, every_s: float) -> bool:
    """Tell whether it is to be written down: an end always, a name once in a while."""
    return step.action is Action.END_SESSION or past is None or (now - past.at).total_seconds() >= every_s


def _step(holder: Holder, rules: HorizonRules) -> Step:
    ends = rules.may_end(holder)
    return Step(
        Action.END_SESSION if ends else Action.NAME_HOLDER,
        _target(holder),
        Urgency.DUE,
        _reason(holder),
        END_STATEMENT if ends else "",
        before={"kind": holder.kind.value, "role": holder.role, "seconds": holder.seconds, "xids": holder.xids},
    )


def _target(holder: Holder) -> str:
    return holder.name if holder.pid is None else f"{holder.name} (pid {holder.pid})"


def _reason(holder: Holder) -> str:
    age = f"for {holder.seconds:.0f} s" if holder.seconds is not None else f"for {holder.xids or 0} transactions"
    return f"{holder.kind.value.replace('_', ' ')} of {holder.role or 'the server'} keeps dead rows {age}"
