"""What operators did, in the audit trail of the merchant whose admin key they did it with.

An operator steers when something is broken, the database perhaps: so the action comes first and is not undone where its
entry cannot be written at once. The entry then waits here, and is written when the database is back; it is in the log
of the process from the first moment.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import structlog

from actors.pool.database import Database
from actors.runtime.clock import Clock
from actors.runtime.errors import ActorError, RowRejected
from serve_app.caching.changes import Changes
from serve_app.domain.cards import contains_card_number
from serve_app.domain.ids import Prefix, new_id, public_id
from serve_app.http.operation import Call, Operation
from serve_app.http.response import Answer
from serve_app.storage.statements import load_statements

WAITING_MAX = 1000
RETRY_EVERY_S = 5.0
WRITE_WITHIN_S = 2.0
_OBJECT_LENGTH_MAX = 100
_HIDDEN = "(hidden)"
_logger = structlog.get_logger(__name__)

Named = Callable[[Call], tuple[str, str]]
"""Returns what was done and to what."""


class OperatorEntry(NamedTuple):
    """One entry, in the order of the statement that writes it."""

    merchant_id: UUID
    id: UUID
    livemode: bool
    key_id: UUID
    request_id: str
    action: str
    object_id: str
    result: str
    created_at: datetime


class OperatorLog:
    """Writes entries down. Bound to one loop."""

    def __init__(self, database: Database, changes: Changes, clock: Clock) -> None:
        self._database = database
        self._changes = changes
        self._clock = clock
        self._sql = load_statements("serve_app.audit")["put_operator_entries"]
        self._waiting: deque[OperatorEntry] = deque()
        self._retrying: asyncio.Task[None] | None = None

    async def note(self, call: Call, action: str, object_id: str, result: str) -> None:
        """Write an entry; where that cannot be done within two seconds it is written later."""
        caller = call.known_caller
        shown = _HIDDEN if contains_card_number(object_id) else _printable(object_id)[:_OBJECT_LENGTH_MAX]
        key = public_id(Prefix.API_KEY, caller.key_id)
        _logger.warning("operator", action=action, object=shown, result=result, key=key, request_id=call.request_id)
        self._waiting.append(
            OperatorEntry(
                caller.merchant_id, new_id(), caller.livemode, caller.key_id, call.request_id, action, shown, result,
                self._clock.now(),
            )
        )  # fmt: skip
        while len(self._waiting) > WAITING_MAX:
            _logger.error("an entry of the audit trail is in the log alone", lost=self._waiting.popleft().action)
        try:
            await self._write()
        finally:
            # Also where the request was called off meanwhile.
            if self._waiting and self._retrying is None:
                self._retrying = asyncio.create_task(self._retry())

    async def close(self) -> None:
        """Write what waits, if that can be done now."""
        if self._retrying is not None:
            self._retrying.cancel()
            with suppress(asyncio.CancelledError):
                await self._retrying
        if not await self._write():
            _logger.error("entries of the audit trail are in the log alone", count=len(self._waiting))

    async def _retry(self) -> None:
        try:
            while True:
                await asyncio.sleep(RETRY_EVERY_S)
                if await self._write():
                    return
        finally:
            self._retrying = None

    async def _write(self) -> bool:
        """Write what waits; return whether nothing does any more."""
        entries = list(self._waiting)
        if not entries:
            return True
        try:
            async with asyncio.timeout(WRITE_WITHIN_S):
                await self._put(entries)
        except (ActorError, TimeoutError) as error:
            _logger.warning("entries of the audit trail wait", count=len(entries), reason=str(error))
            return False
        for entry in entries:
            with suppress(ValueError):  # Written by another call meanwhile.
                self._waiting.remove(entry)
        await self._show(entries)
        return True

    async def _put(self, entries: Sequence[OperatorEntry]) -> None:
        """Write entries; one that the database will never take does not keep the others from being written."""
        try:
            await self._database.execute(self._sql, *map(list, zip(*entries, strict=True)))
        except RowRejected as rejected:
            if len(entries) > 1:
                for entry in entries:
                    await self._put([entry])
            else:
                _logger.error(
                    "an entry of the audit trail is in the log alone", lost=entries[0].action, reason=str(rejected)
                )

    async def _show(self, entries: Sequence[OperatorEntry]) -> None:
        """Have the cached pages of the trails forgotten. Where that fails they are old for as long as they live."""
        for merchant_id, livemode in {(entry.merchant_id, entry.livemode) for entry in entries}:
            with suppress(ActorError):
                async with self._changes.of_lists(merchant_id, livemode):
                    pass


def _printable(text: str) -> str:
    """Return the text as a line can show it, and the database keep it."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def audited(operation: Operation, actions: Mapping[str, Named], log: OperatorLog) -> Operation:
    """Return the operation with an entry for each time that it is asked for, if it is one of the actions."""
    named = actions.get(operation.name)
    if named is None:
        return operation

    async def endpoint(call: Call) -> Answer:
        result = "failed"
        try:
            answer = await operation.endpoint(call)
            result = "succeeded"
            return answer
        finally:
            await log.note(call, *named(call), result)

    return replace(operation, endpoint=endpoint)
