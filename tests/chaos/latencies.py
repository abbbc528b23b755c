"""How long changes took, from the first try to the answer that was final."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.support.history import History, Seen


def changes_between(history: History, spans: Iterable[tuple[float, float]]) -> list[Seen]:
    """Return the acknowledged changes that were under way at any moment of these spans of the loop's time."""
    spans = list(spans)
    writes = (seen for seen_of_key in history.writes.values() for seen in seen_of_key)
    return [seen for seen in writes if any(seen.began < end and start < seen.ended for start, end in spans)]


def describe(changes: Sequence[Seen]) -> str:
    """Return how many there were, and how long half, 99 of 100 and all of them took at the most."""
    if not changes:
        return "none"
    took_ms = sorted((seen.ended - seen.began) * 1000 for seen in changes)
    half, most = took_ms[len(took_ms) // 2], took_ms[min(len(took_ms) - 1, len(took_ms) * 99 // 100)]
    return f"{len(took_ms)}, p50 {half:.0f} ms, p99 {most:.0f} ms, max {took_ms[-1]:.0f} ms"
