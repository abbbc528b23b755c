"""How a number of connections is shared among those who want some: a pure function."""

from __future__ import annotations

from collections.abc import Sequence


def fair_shares(total: int, wants: Sequence[int], least: int) -> list[int]:
    """Share ``total`` so that nobody's part can grow but at the cost of one who has no more.

    Whoever wants something gets ``least`` at least, or nothing where there is not enough for all: the first in order
    come first then. No part is larger than its want, but for ``least``. What is left by rounding goes to the first.
    Source: max-min fairness by water-filling; Bertsekas and Gallager, Data Networks, 2nd edition 1992, section 6.5.2.
    """
    assert total >= 0
    shares = [0] * len(wants)
    served = [index for index, want in enumerate(wants) if want > 0][: total // least]
    left = total
    # From the smallest want on: what it leaves of its equal part is there for the others, the first in order last.
    for done, index in enumerate(sorted(served, key=lambda index: (wants[index], -index))):
        shares[index] = max(least, min(wants[index], left // (len(served) - done)))
        left -= shares[index]
    return shares
