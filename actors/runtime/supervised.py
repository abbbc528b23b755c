"""What the supervisor asks of every actor that it keeps."""

from __future__ import annotations


class Supervised:
    """Knows the version of the code that it was created with."""

    def __init__(self, code_version: str) -> None:
        self._code_version = code_version

    async def ensure_running(self) -> str:
        """Do what has to be done after a start, once, and return the version; safe to repeat."""
        return self._code_version
