"""An event as it is delivered and as the feed shows it: the same bytes everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from serve_app.domain.ids import Prefix, public_id
from serve_app.snapshots import rfc3339


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to an object: `sequence` rises with each event of the object, `data` is the object's JSON then."""

    id: UUID
    type: str
    sequence: int
    data: str
    created_at: datetime

    @property
    def public_id(self) -> str:
        """The id as merchants see it."""
        return public_id(Prefix.EVENT, self.id)

    def encode(self) -> str:
        """Return it as JSON. What is signed is this text, so it is made in one place and in one way."""
        # Types are of our own making and hold nothing that JSON escapes; the data is JSON already.
        return (
            f'{{"id":"{self.public_id}","type":"{self.type}","timestamp":"{rfc3339(self.created_at)}",'
            f'"sequence":{self.sequence},"data":{self.data}}}'
        )
