"""A page is run again for reasons that pass, and for those alone."""

from __future__ import annotations

import pytest

from actors.runtime.errors import OutcomeUnknown, RowRejected, Unavailable
from serve_app.batch.repeat import repeated


async def test_a_page_is_repeated_until_it_succeeds() -> None:
    """Also where nobody knows whether it was done."""
    faults = [Unavailable("database", "away", 1.0), OutcomeUnknown("commit", "lost")]

    async def page() -> str:
        if faults:
            raise faults.pop()
        return "done"

    assert await repeated(page) == "done"


async def test_what_does_not_pass_is_raised_at_once() -> None:
    """It would fail again."""
    tries = 0

    async def page() -> None:
        nonlocal tries
        tries += 1
        raise RowRejected("page", "23514", None)

    with pytest.raises(RowRejected):
        await repeated(page)
    assert tries == 1


async def test_it_gives_up_in_time() -> None:
    """With the last fault."""

    async def page() -> None:
        raise Unavailable("database", "away", 1.0)

    with pytest.raises(Unavailable):
        await repeated(page, repeat_s=0.05)
