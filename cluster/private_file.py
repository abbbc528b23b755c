"""Files that only their owner may read, and the secrets that are made once and kept in one."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path


def write_private(file: Path, text: str) -> None:
    """Replace a file with one of mode 0600; a reader sees the old text or the new one, never a part."""
    draft = file.with_name(f".{file.name}.new")
    draft.unlink(missing_ok=True)
    # Made with its mode: written first and narrowed afterwards, it could be read in between.
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(descriptor)
    draft.replace(file)


def new_secret() -> str:
    """Make 32 random bytes as 43 characters that may stand in a URL."""
    return secrets.token_urlsafe(32)


class SecretsFile:
    """Keep the secrets of one data directory by name. One writer at a time: the holder of the directory's lock."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> dict[str, str]:
        """Return all secrets by name; none where there is no file yet."""
        if not self._file.exists():
            return {}
        stored: dict[str, str] = json.loads(self._file.read_text(encoding="utf-8"))
        return stored

    def ensure(self, name: str, make: Callable[[], str] = new_secret) -> str:
        """Return the secret of this name, made and stored by the first call."""
        stored = self.read()
        if name not in stored:
            stored[name] = make()
            write_private(self._file, json.dumps(stored, indent=1))
        return stored[name]

    def put(self, name: str, value: str) -> None:
        """Store a secret, in place of an earlier one of the same name."""
        write_private(self._file, json.dumps({**self.read(), name: value}, indent=1))
