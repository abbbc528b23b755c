"""The turn of who changes or maintains the tables of a database."""

from __future__ import annotations

TURN = 0x65617379706D74
"""Key of the advisory lock that a session holds while it builds, rebuilds or vacuums: one at a time, whichever process
it is of. Two such statements beside each other would wait for each other's end.
"""
