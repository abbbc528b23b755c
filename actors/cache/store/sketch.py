"""How often each of many keys was used, in little memory: a count-min sketch behind a doorkeeper."""

from __future__ import annotations

COUNT_MAX = 15
"""Counts stop here: more would hardly change what is admitted, and takes longer to be forgotten."""

_WIDTH_MIN = 64
_HALVED = bytes(count >> 1 for count in range(256))


class Sketch:
    """Counts of uses that are never too low, and too high only where keys share all their places.

    The first use of a key since the last ``age`` sets three bits of a Bloom filter, the doorkeeper: most keys are used
    once, and would fill the counters. Later uses raise the lowest of its three counters (conservative update). Places
    come from Python's own hash of strings: nobody outside can choose keys that collide, and counts may differ a little
    from process to process.

    Source: Cormode and Muthukrishnan, An improved data stream summary, J. Algorithms 55(1), 2005; Estan and Varghese,
    New directions in traffic measurement, SIGCOMM 2002; the doorkeeper is from TinyLFU, see `BoundedStore`.
    """

    __slots__ = ("_bits", "_counters", "_door", "_width")

    def __init__(self, width: int) -> None:
        """Make a sketch of ``width`` bytes: two for each key between two ``age`` will do where most are used once."""
        width = max(_WIDTH_MIN, width)
        self._door = bytearray(width // 2)
        self._bits = 8 * len(self._door)
        self._width = width - len(self._door)
        self._counters = bytearray(self._width)

    @property
    def size_bytes(self) -> int:
        """The memory that it takes."""
        return self._width + len(self._door)

    def add(self, key: str) -> None:
        """Count a use."""
        if not self._knock(key):
            return
        counters = self._counters
        places = self._places(key)
        first, second, third = places
        count = min(counters[first], counters[second], counters[third])
        if count < COUNT_MAX - 1:
            self._raise(places, count + 1)

    def count(self, key: str) -> int:
        """Return how often the key was used, at most ``COUNT_MAX``; halved by every ``age``."""
        counters = self._counters
        first, second, third = self._places(key)
        return min(counters[first], counters[second], counters[third]) + self._is_known(key)

    def at_least(self, key: str, count: int) -> None:
        """Have the key's count be no less than what was counted elsewhere. Safe to repeat."""
        assert 0 <= count <= COUNT_MAX
        if count:
            self._knock(key)
            self._raise(self._places(key), count - 1)

    def age(self) -> None:
        """Halve every count, so that old uses are forgotten; about a nanosecond for each byte."""
        self._counters = self._counters.translate(_HALVED)
        self._door = bytearray(len(self._door))

    def _places(self, key: str) -> tuple[int, int, int]:
        # Neighbouring shifts of one hash share bits, but keys are confused only where they agree in all three.
        code, width = hash(key), self._width
        return (code >> 7) % width, (code >> 21) % width, (code >> 35) % width

    def _raise(self, places: tuple[int, int, int], count: int) -> None:
        counters = self._counters
        for place in places:
            if counters[place] < count:
                counters[place] = count

    def _is_known(self, key: str) -> bool:
        """Whether the doorkeeper has seen the key, or others that together look like it."""
        code, bits, door = hash(key), self._bits, self._door
        for place in (code % bits, (code >> 14) % bits, (code >> 28) % bits):
            if not door[place >> 3] & 1 << (place & 7):
                return False
        return True

    def _knock(self, key: str) -> bool:
        """Make the key known, and return whether it was."""
        known = True
        code, bits, door = hash(key), self._bits, self._door
        for place in (code % bits, (code >> 14) % bits, (code >> 28) % bits):
            bit = 1 << (place & 7)
            if not door[place >> 3] & bit:
                door[place >> 3] |= bit
                known = False
        return known
