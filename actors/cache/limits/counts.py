"""How the limits of a process were decided, apart from whose they are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class LimiterCounts:
    """Everything since the process started.

    ``static_decisions``: permits that were taken or refused by the static share, since the shard could not say. Each
    question asks for the lease of one key: ``answered`` ones were, ``unanswered`` ones left the key to its static
    share. ``returned``: permits that were given back unspent when the process ended.
    """

    static_decisions: int = 0
    answered: int = 0
    unanswered: int = 0
    returned: int = 0
