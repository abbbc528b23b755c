"""What was heard already."""

from __future__ import annotations

from collections import OrderedDict

LIVES_MAX = 5000


class Heard:
    """Remember the last number of each sender's life, so that what comes twice counts once.

    A sender waits for the answer to each before it sends the next, so that numbers come in order. Of senders, those
    that were heard last are remembered: one repeats within seconds or never.
    """

    def __init__(self, lives_max: int = LIVES_MAX) -> None:
        self._numbers: OrderedDict[str, int] = OrderedDict()
        self._lives_max = lives_max

    def knows(self, life: str, number: int) -> bool:
        """Tell whether it, or a later one of its life, was heard."""
        return number <= self._numbers.get(life, 0)

    def is_new(self, life: str, number: int) -> bool:
        """Tell whether this is the first time, and remember it."""
        known = self._numbers.pop(life, 0)
        self._numbers[life] = max(known, number)
        if len(self._numbers) > self._lives_max:
            self._numbers.popitem(last=False)
        return number > known
