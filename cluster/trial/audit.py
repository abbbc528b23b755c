"""Compare what was acknowledged with what the database holds."""

from __future__ import annotations

import asyncio

import asyncpg

from cluster.trial.key import MERCHANT
from cluster.trial.stream import Books
from cluster.trial.verdict import Money
from serve_app.storage.statements import load_statements

_FINAL_WITHIN_S = 60.0
_LOOK_EVERY_S = 0.5


async def audit(database_url: str, description: str, books: Books, *, final_within_s: float = _FINAL_WITHIN_S) -> Money:
    """Wait until no payment of the drill is open, at most so long, and count what is wrong with them.

    Raises OSError or asyncpg.PostgresError where the database is away.
    """
    sql = load_statements("cluster.trial")["money"]
    connection = await asyncpg.connect(database_url)
    try:
        loop = asyncio.get_running_loop()
        give_up = loop.time() + final_within_s
        row = await connection.fetchrow(sql, MERCHANT, description)
        while row["open"] and loop.time() < give_up:
            await asyncio.sleep(_LOOK_EVERY_S)
            row = await connection.fetchrow(sql, MERCHANT, description)
    finally:
        await connection.close()
    return compare(books, row["stored"], row["open"], row["charged_twice"], row["unbalanced"], _ids(row["captured"]))


def compare(
    books: Books, stored: int, still_open: int, charged_twice: int, unbalanced: int, captured: set[str]
) -> Money:
    """Return what is wrong, from the books of both sides. Each key has one payment: more are charges too many."""
    acknowledged = {payment["id"] for payment in books.acknowledged.values() if payment["status"] == "captured"}
    keys = len(books.acknowledged) + len(books.given_up)
    return Money(
        keys=keys,
        acknowledged=len(books.acknowledged),
        stored=stored,
        lost=len(acknowledged - captured),
        charged_twice=charged_twice + max(0, stored - keys) + len(books.contradicted),
        open=still_open,
        unbalanced=unbalanced,
    )


def _ids(found: list[asyncpg.pgproto.pgproto.UUID]) -> set[str]:
    return {f"pay_{each.hex}" for each in found}
