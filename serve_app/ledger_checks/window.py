"""How many transactions a part of the check spans."""

from __future__ import annotations

WIDTH_FIRST = 1_000
WIDTH_MAX = 100_000


class Window:
    """Doubles while parts are nearly empty, since most transactions may be about something else, and halves once they
    are full: rows beyond the bound of a part were read in vain."""

    def __init__(self) -> None:
        self.width = WIDTH_FIRST

    def adapt(self, found: int, found_max: int) -> None:
        """Choose the width of the next part by what was found in the last."""
        if found * 4 <= found_max:
            self.width = min(WIDTH_MAX, self.width * 2)
        elif found * 2 > found_max:
            self.width = max(1, self.width // 2)
