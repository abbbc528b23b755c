"""Which messages this process has done with lately."""

from __future__ import annotations

from collections import OrderedDict

SEEN_MAX = 10_000


class SeenMessages:
    """Remembers message ids for ``keep_s``, at most ``max_size`` of them: the oldest are forgotten first.

    It saves work and decides nothing: a message that was forgotten, or that another process saw, finds its attempt
    concluded. Beyond the tolerance of its signature no message is let in again, so none need be kept for longer.
    """

    def __init__(self, keep_s: float, max_size: int = SEEN_MAX) -> None:
        self._keep_s = keep_s
        self._max_size = max_size
        self._until: OrderedDict[tuple[str, str], float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._until)

    def add(self, sender: str, message_id: str, now: float) -> None:
        """Remember a message that was done with."""
        self._forget(now)
        self._until[sender, message_id] = now + self._keep_s
        self._until.move_to_end((sender, message_id))
        if len(self._until) > self._max_size:
            self._until.popitem(last=False)

    def has(self, sender: str, message_id: str, now: float) -> bool:
        """Say whether a message was done with and is remembered."""
        return self._until.get((sender, message_id), now) > now

    def _forget(self, now: float) -> None:
        while self._until:
            oldest = next(iter(self._until))
            if self._until[oldest] > now:
                return
            del self._until[oldest]
