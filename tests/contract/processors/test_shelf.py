"""Both shelves of the books keep the same things, and the one on disk keeps them for good."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serve_app.domain.attempt import AttemptKind
from serve_app.processors.acquirer.ledger import Find, Ledger, Perform, Refuse, SqliteShelf
from serve_app.processors.books import Charge, Entry, Shelf
from serve_app.processors.protocol import (
    Approved,
    Declined,
    Failed,
    ProcessorRequest,
    Refused,
)
from serve_app.processors.simulator import MemoryShelf

MakeRequest = Callable[..., ProcessorRequest]
REQUEST = ProcessorRequest("att_1", AttemptKind.REFUND, 5, "JPY", "tok_visa", False, "auth_x")
ENTRIES = [
    Entry("att_1", REQUEST, Approved("rfnd_x"), 5),
    Entry("att_1", REQUEST, Declined("expired_card", None)),
    Entry("att_1", REQUEST, Failed("not_captured", retryable=False)),
    Entry("att_1", None, Refused()),
]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.db")
    yield opened
    opened.close()


@pytest.fixture(params=["memory", "sqlite"])
def shelf(request: pytest.FixtureRequest) -> Shelf:
    if request.param == "memory":
        return MemoryShelf(entries_max=10)
    ledger: Ledger = request.getfixturevalue("ledger")
    return SqliteShelf(ledger._connection)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: type(entry.result).__name__)
def test_entries_are_kept(shelf: Shelf, entry: Entry) -> None:
    """An entry is found as it was added; another attempt is not."""
    shelf.add_entry(entry)
    assert shelf.entry("att_1") == entry
    assert shelf.entry("att_2") is None


def test_charges_are_replaced(shelf: Shelf) -> None:
    """A charge is found as it was put last."""
    shelf.put_charge(Charge("auth_x", "USD", 10))
    shelf.put_charge(Charge("auth_x", "USD", 10, captured_minor=4, released_minor=6, refunded_minor=1))
    assert shelf.charge("auth_x") == Charge("auth_x", "USD", 10, 4, 6, 1)
    assert shelf.charge("auth_y") is None


def test_ledger_survives_reopening(tmp_path: Path, make_request: MakeRequest) -> None:
    """What was applied is there when the file is opened again, refusals included."""
    path, request = tmp_path / "ledger.db", make_request()
    ledger = Ledger(path)
    approved, refused = ledger.apply([Perform(request), Refuse("att_never")])
    ledger.close()
    ledger = Ledger(path)
    found = ledger.apply([Find(request.attempt_id), Find("att_never"), Find("att_unseen")])
    ledger.close()
    assert isinstance(approved, Approved)
    assert refused == Refused()
    assert found == [
        Entry(request.attempt_id, request, approved, 1_000),
        Entry("att_never", None, Refused()),
        None,
    ]


def test_failed_batch_leaves_nothing(ledger: Ledger, make_request: MakeRequest) -> None:
    """A batch that breaks in its middle is undone as a whole, and the next one works."""
    request = make_request()
    unbindable = make_request(amount_minor=2**70)
    with pytest.raises(OverflowError):
        ledger.apply([Perform(request), Perform(unbindable)])
    assert ledger.apply([Find(request.attempt_id)]) == [None]


def test_pages_follow_the_order_of_commits(ledger: Ledger, make_request: MakeRequest) -> None:
    """Pages hold every entry once, oldest first, and each tells the totals by currency."""
    requests = [make_request(currency=currency, capture=True) for currency in ("USD", "EUR", "USD")]
    ledger.apply([Perform(request) for request in requests])
    first = ledger.page(0, 2)
    second = ledger.page(first.entries[-1][0], 2)
    assert [entry.attempt_id for _, entry in first.entries + second.entries] == [
        request.attempt_id for request in requests
    ]
    assert (first.has_more, second.has_more) == (True, False)
    assert {currency: totals.captured_minor for currency, totals in second.totals.items()} == {
        "EUR": 1_000,
        "USD": 2_000,
    }


def test_one_acquirer_holds_the_file(tmp_path: Path) -> None:
    """A second ledger on the same file is turned away."""
    ledger = Ledger(tmp_path / "ledger.db")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        Ledger(tmp_path / "ledger.db")
    ledger.close()
