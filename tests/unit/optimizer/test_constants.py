"""Constants that the statistics took out of a statement."""

from __future__ import annotations

from actors.optimizer.constants import SEEN_MIN, with_constants
from actors.optimizer.parser import parse
from tests.unit.optimizer.makers import catalog

_TEXT = "SELECT id FROM orders WHERE status = $1 AND customer_id = $2 LIMIT $3"


def _restored(examples: dict[str, int]) -> str:
    return with_constants(_TEXT, parse(_TEXT, catalog()), examples, catalog())


def test_what_all_examples_agree_on_is_put_back() -> None:
    """And the parameters that are left are numbered anew."""
    sent = "SELECT id FROM orders WHERE status = 'open' AND customer_id = $1 LIMIT 5"
    assert _restored({sent: SEEN_MIN}) == "SELECT id FROM orders WHERE status = 'open' AND customer_id = $1 LIMIT $2"


def test_what_was_seen_too_seldom_or_differs_stays_a_parameter() -> None:
    """A client that writes values into its text has none of them for a constant."""
    sent = "SELECT id FROM orders WHERE status = 'open' AND customer_id = 7 LIMIT 5"
    other = "SELECT id FROM orders WHERE status = 'done' AND customer_id = 8 LIMIT 5"
    assert _restored({sent: SEEN_MIN - 1}) == _TEXT
    assert _restored({sent: 5, other: 1}) == _TEXT


def test_a_value_of_a_key_is_no_constant_though_it_was_seen_alone() -> None:
    """One customer who asks all the time does not make a rule."""
    sent = "SELECT id FROM orders WHERE status = $1 AND customer_id = 7 LIMIT 5"
    assert _restored({sent: 100}) == _TEXT


def test_what_was_cut_off_says_nothing() -> None:
    """The server shows the first kilobyte."""
    assert _restored({"SELECT id FROM orders WHERE status = 'op": 100}) == _TEXT
