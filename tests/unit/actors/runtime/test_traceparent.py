"""The text by which a trace goes on elsewhere."""

from __future__ import annotations

import pytest

from actors.runtime.traceparent import TraceParent, parse_traceparent

_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_SPAN = "00f067aa0ba902b7"


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("03", True), ("fe", False)])
def test_the_standard_s_form_is_read(flags: str, sampled: bool) -> None:
    """Of the flags, one bit has a meaning here."""
    found = parse_traceparent(f"00-{_TRACE}-{_SPAN}-{flags}")
    assert found == TraceParent(int(_TRACE, 16), int(_SPAN, 16), sampled)


def test_what_is_written_is_read() -> None:
    """Ids keep their leading zeros."""
    parent = TraceParent(1, 2, True)
    assert parent.encode() == f"00-{1:032x}-{2:016x}-01"
    assert parse_traceparent(parent.encode()) == parent


def test_a_later_version_is_read_as_far_as_this_one_goes() -> None:
    """It may have more fields."""
    found = parse_traceparent(f"01-{_TRACE}-{_SPAN}-01-what-comes-later")
    assert found == TraceParent(int(_TRACE, 16), int(_SPAN, 16), True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"ff-{_TRACE}-{_SPAN}-01",
        f"00-{_TRACE}-{_SPAN}-01-more",
        f"00-{_TRACE}-{_SPAN}",
        f"00-{'0' * 32}-{_SPAN}-01",
        f"00-{_TRACE}-{'0' * 16}-01",
        f"00-{_TRACE.upper()}-{_SPAN}-01",
        f"00-{_TRACE}-{_SPAN}-0g",
        f"00-{_TRACE}-{_SPAN}-01\n",
        f"01-{_TRACE}-{_SPAN}-01-" + "x" * 300,
    ],
)
def test_anything_else_begins_a_new_trace(text: str) -> None:
    """As the standard says."""
    assert parse_traceparent(text) is None
