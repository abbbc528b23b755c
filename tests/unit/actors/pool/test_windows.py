"""Maintenance windows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from actors.pool.windows import WINDOWS_MAX, WeeklyWindow, Window, Windows

SUNDAY = datetime(2025, 1, 5, 3, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def window(connections: int, *, starts_at: datetime = SUNDAY, lasts: timedelta = 30 * MINUTE) -> Window:
    return Window(starts_at, starts_at + lasts, connections, "by hand")


@pytest.mark.parametrize(
    ("text", "open_at", "shut_at"),
    [
        ("sun 03:00 30m 10", SUNDAY, SUNDAY + 30 * MINUTE),
        ("Daily 03:00 30m 0", SUNDAY + timedelta(days=2), SUNDAY - MINUTE),
        # Over midnight, from Saturday into Sunday.
        ("sat 23:30 300m 2", SUNDAY, SUNDAY - timedelta(days=1)),
    ],
)
def test_a_window_of_the_schedule(text: str, open_at: datetime, shut_at: datetime) -> None:
    """It is open on its day from its time on."""
    weekly = WeeklyWindow.parse(text)
    opened = weekly.at(open_at)
    assert opened is not None
    assert opened.connections == weekly.connections
    assert opened.starts_at <= open_at < opened.ends_at
    assert weekly.at(shut_at) is None


@pytest.mark.parametrize(
    "text", ["", "sun", "sun 24:00 30m 1", "xyz 03:00 30m 1", "sun 03:00 0m 1", "sun 03:00 9999m 1"]
)
def test_what_is_no_window_is_refused_by_name(text: str) -> None:
    """The text is in the message, or the part that is wrong."""
    with pytest.raises(ValueError, match=r".+"):
        WeeklyWindow.parse(text)


def test_the_one_that_leaves_least_counts() -> None:
    """Of those that are open now."""
    windows = Windows([WeeklyWindow.parse("sun 03:00 30m 10")])
    assert windows.current(SUNDAY - MINUTE) is None
    windows.open(window(3, starts_at=SUNDAY + MINUTE), SUNDAY)
    current = [windows.current(SUNDAY + minutes * MINUTE) for minutes in (0, 1, 30, 31)]
    assert [each.connections if each is not None else None for each in current] == [10, 3, 3, None]


def test_an_operator_ends_his_own() -> None:
    """Those of the schedule stay."""
    windows = Windows([WeeklyWindow.parse("sun 03:00 30m 10")])
    windows.open(window(0), SUNDAY)
    assert windows.close(SUNDAY) == 1
    current = windows.current(SUNDAY)
    assert current is not None
    assert current.connections == 10


def test_windows_are_bounded() -> None:
    """In number, in time, and in what they leave."""
    windows = Windows()
    for wrong in (window(-1), window(1, lasts=timedelta(days=2)), window(1, lasts=-MINUTE)):
        with pytest.raises(ValueError, match=r"a window ends|connections"):
            windows.open(wrong, SUNDAY)
    for _ in range(WINDOWS_MAX):
        windows.open(window(1), SUNDAY)
    with pytest.raises(ValueError, match="windows already"):
        windows.open(window(1), SUNDAY)
