"""The statements of a slice."""

from __future__ import annotations

from actors.pool.statements import load_statements

__all__ = ["load_statements"]
