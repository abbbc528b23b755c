"""How much is read under a tag: what decides whether it is worth to cache what is grouped under it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

READS_WORTH_CACHING = 3
"""Reads between two changes, or within a second, from which on a page is kept."""
_TAGS_MAX = 10_000
# Measured, with its key.
_TAG_BYTES = 300


@dataclass(slots=True)
class _Reads:
    """Reads since the tag's last change, and within the second that began at ``window``."""

    window: float
    in_window: int = 0
    since_change: int = 0


class TagReads:
    """Counts reads by tag; of very many tags the oldest are forgotten."""

    def __init__(self) -> None:
        self._tags: OrderedDict[str, _Reads] = OrderedDict()

    @property
    def bytes_used(self) -> int:
        """Memory in use."""
        return _TAG_BYTES * len(self._tags)

    def note(self, tag: str, now: float) -> bool:
        """Count a read; say whether the tag is read a lot at the moment."""
        reads = self._tags.get(tag)
        if reads is None:
            reads = self._tags[tag] = _Reads(now)
            if len(self._tags) > _TAGS_MAX:
                self._tags.popitem(last=False)
        if now >= reads.window + 1:
            reads.window, reads.in_window = now, 0
        reads.in_window += 1
        reads.since_change += 1
        return reads.in_window >= READS_WORTH_CACHING

    def changed(self, tag: str) -> bool:
        """Begin to count anew, and say whether the tag was read a lot since its last change."""
        reads = self._tags.get(tag)
        if reads is None:
            return False
        was_read = reads.since_change >= READS_WORTH_CACHING
        reads.since_change = 0
        return was_read
