"""How many leased connections the database has, all the time."""

from __future__ import annotations

import asyncio
from collections import Counter

import asyncpg

_EVERY_S = 0.02
_LEASED = """
SELECT split_part(application_name, '/', 1) AS cluster, count(*) AS connections
FROM pg_stat_activity WHERE application_name ~ '^easypay-[0-9a-f]{8}/' GROUP BY 1
"""


class Connections:
    """Counts the connections of each cluster while it watches."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.looks = 0
        self.most = 0
        self.most_of: Counter[str] = Counter()
        """of each cluster, by the name that its connections begin with"""

    async def watch(self, done: asyncio.Event) -> None:
        """Watch until the event."""
        connection = await asyncpg.connect(self._url)
        try:
            while not done.is_set():
                rows = await connection.fetch(_LEASED)
                self.looks += 1
                self.most = max(self.most, sum(row["connections"] for row in rows))
                for row in rows:
                    self.most_of[row["cluster"]] = max(self.most_of[row["cluster"]], row["connections"])
                await asyncio.sleep(_EVERY_S)
        finally:
            connection.terminate()
