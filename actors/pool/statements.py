"""Reads the named statements of a package's `queries.sql`.

A block starts with `-- name: some_name`; the comment lines below it say what the statement does and are kept in it,
so that they show in pg_stat_activity.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_NAME = re.compile(r"^-- name: ([a-z_]+)$", re.MULTILINE)


@cache
def load_statements(package: str) -> dict[str, str]:
    """Return the statements of `package`'s queries.sql by name.

    Raises:
        ValueError: two blocks have one name, or one is empty.
    """
    text = resources.files(package).joinpath("queries.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)
    statements: dict[str, str] = {}
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        if name in statements or not body.strip():
            raise ValueError(f"{package}: the statement {name} is empty or stands twice")
        statements[name] = body.strip()
    return statements
