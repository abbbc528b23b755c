"""The acquirer's report: a line for each time that money was taken or given back, for whoever compares books.

CSV in UTF-8 with a header. The last line has the kind `end`, the number of lines before it, when the report was begun
and up to which sequence of the ledger it goes: a report without it is not whole.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from serve_app.domain.attempt import AttemptKind
from serve_app.processors.acquirer.service import Acquirer
from serve_app.processors.books import Entry
from serve_app.processors.protocol import Approved

COLUMNS = ("kind", "attempt", "amount_minor", "currency", "reference", "sequence")
_PAGE = 1000


async def report_csv(acquirer: Acquirer, now: datetime) -> AsyncIterator[bytes]:
    """Yield the report of what is in the ledger now, in pieces of bounded size; operations go on meanwhile."""
    yield _csv([COLUMNS])
    until = await acquirer.last_sequence()
    after, lines = 0, 0
    while page := await acquirer.moved(after, until, _PAGE):
        yield _csv([_line(sequence, entry) for sequence, entry in page])
        after = page[-1][0]
        lines += len(page)
    yield _csv([("end", str(lines), "", "", now.isoformat(), str(until))])


def _line(sequence: int, entry: Entry) -> Sequence[str]:
    request, result = entry.request, entry.result
    assert request is not None, "a refused attempt moves nothing"
    assert isinstance(result, Approved), "what is not approved moves nothing"
    kind = AttemptKind.REFUND if request.kind is AttemptKind.REFUND else AttemptKind.CAPTURE
    return (kind.value, entry.attempt_id, str(entry.moved_minor), request.currency, result.reference, str(sequence))


def _csv(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
