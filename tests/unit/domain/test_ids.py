"""Identifiers sort by time and name their kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import RFC_4122

from serve_app.domain.ids import Prefix, first_id_at, new_id, parse_id, public_id


def test_a_new_id_is_a_uuid_of_version_seven() -> None:
    """Version and variant are those of RFC 9562, and the time is now."""
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    made = new_id()
    assert (made.version, made.variant) == (7, RFC_4122)
    assert first_id_at(before) <= made < first_id_at(datetime.now(UTC) + timedelta(milliseconds=1))


def test_ids_do_not_repeat() -> None:
    """Ten thousand of one moment are all different."""
    assert len({new_id() for _ in range(10_000)}) == 10_000


def test_a_public_id_names_its_kind() -> None:
    """It parses for its own kind alone, and in one spelling alone."""
    made = new_id()
    text = public_id(Prefix.PAYMENT, made)
    assert parse_id(Prefix.PAYMENT, text) == made
    assert parse_id(Prefix.REFUND, text) is None
    assert parse_id(Prefix.PAYMENT, text.upper()) is None
    assert parse_id(Prefix.PAYMENT, "pay_" + "0" * 31) is None
    assert parse_id(Prefix.PAYMENT, text + "\n") is None
