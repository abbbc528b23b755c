"""Sequences of keys, each a kind of load. Everything is drawn from the seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import accumulate, islice

KEYS = 100_000
"""Keys that are used again and again; the sizes of caches are parts of them."""
USES = 500_000
WARM_UP_USES = 200_000
"""Uses at the beginning that fill the caches and are not counted."""

_BURST = 10_000
_LOOP_KEYS = KEYS // 2
_HOTSPOT_USES = 100_000
_HOTSPOT_SHIFT = 1_000


class Traces:
    """Traces of ``USES`` keys each."""

    def __init__(self, seed: int) -> None:
        draw = random.Random(seed)
        self._names = [f"payment:pay_{number:026d}" for number in range(KEYS)]
        draw.shuffle(self._names)
        weights = list(accumulate(1 / rank for rank in range(1, KEYS + 1)))
        self._ranks = draw.choices(range(KEYS), cum_weights=weights, k=USES)

    def all(self) -> dict[str, list[str]]:
        """Return every trace by its name."""
        return {"zipf": self.zipf(), "scan": self.scan(), "loop": self.loop(), "hotspot": self.hotspot()}

    def zipf(self) -> list[str]:
        """The rth key is used 1/r times as often as the first."""
        return [self._names[rank] for rank in self._ranks]

    def scan(self) -> list[str]:
        """Bursts of Zipf take turns with as many keys that are used once and never again."""
        return list(islice(self._bursts(), USES))

    def loop(self) -> list[str]:
        """Half of the keys in turn, over and over: more than any cache here holds, and the worst for LRU."""
        return [self._names[use % _LOOP_KEYS] for use in range(USES)]

    def hotspot(self) -> list[str]:
        """Zipf of which the 1,000 most used keys are replaced by others every 100,000 uses."""
        return [
            self._names[(rank - use // _HOTSPOT_USES * _HOTSPOT_SHIFT) % KEYS] for use, rank in enumerate(self._ranks)
        ]

    def _bursts(self) -> Iterator[str]:
        zipf = self.zipf()
        for start in range(0, USES, _BURST):
            yield from zipf[start : start + _BURST]
            yield from (f"payment:scanned_{number:022d}" for number in range(start, start + _BURST))
