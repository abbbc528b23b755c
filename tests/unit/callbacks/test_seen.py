"""Messages are remembered for as long as they could come again, and no more of them than there is room for."""

from __future__ import annotations

from serve_app.callbacks.seen import SeenMessages


def test_a_message_is_remembered_for_its_time() -> None:
    """Another sender's of the same id is another message."""
    seen = SeenMessages(keep_s=10.0)
    assert not seen.has("a", "m", 0.0)
    seen.add("a", "m", 0.0)
    assert seen.has("a", "m", 9.9)
    assert not seen.has("b", "m", 9.9)
    assert not seen.has("a", "m", 10.0)


def test_what_is_over_takes_no_room() -> None:
    """It is forgotten with the next one."""
    seen = SeenMessages(keep_s=10.0)
    for number in range(100):
        seen.add("a", str(number), float(number))
    assert len(seen) == 10


def test_the_oldest_give_way() -> None:
    """However many come at once."""
    seen = SeenMessages(keep_s=10.0, max_size=3)
    for name in "abcd":
        seen.add("p", name, 0.0)
    assert [seen.has("p", name, 1.0) for name in "abcd"] == [False, True, True, True]


def test_one_that_is_added_again_is_young_again() -> None:
    """It does not give way for its first time."""
    seen = SeenMessages(keep_s=10.0, max_size=2)
    for name in "aba":
        seen.add("p", name, 0.0)
    seen.add("p", "c", 1.0)
    assert seen.has("p", "a", 2.0)
    assert not seen.has("p", "b", 2.0)
