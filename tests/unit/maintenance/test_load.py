"""Whether the database is busy."""

from __future__ import annotations

from actors.maintenance.load import SAMPLES, Load, Thresholds, sample


def test_what_lies_between_is_what_it_was_before() -> None:
    """Else maintenance that is the load itself would stop and go."""
    load = Load(Thresholds(busy=1.0, quiet=0.5))
    told = [load.told(samples) for samples in ([0, 1], [1, 1], [0, 1, 1, 1], [0, 1], [0, 0, 0, 1], [0, 1, 1, 1])]
    assert told == [False, True, True, True, False, False]
    assert load.sessions == 0.75


async def test_a_sample_is_many_counts() -> None:
    """One moment says nothing."""
    counts = iter(range(SAMPLES))

    async def count() -> int:
        return next(counts)

    assert await sample(count, every_s=0.0) == list(range(SAMPLES))
