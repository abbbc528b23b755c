"""An HAProxy configuration as sections of lines, edited only at anchors that must exist.

Standard library only: the launcher loads this file in a bare interpreter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_KEYWORDS = ("global", "defaults", "frontend", "backend", "listen")


class HardeningError(Exception):
    """Say that a configuration is not the one that this code knows how to harden."""


@dataclass(slots=True)
class Section:
    """Hold one section: its header, such as `frontend http_frontend`, and its directives without indent."""

    header: str
    lines: list[str] = field(default_factory=list)

    def replace(self, pattern: str, *replacement: str) -> None:
        """Put `replacement` where the one line that matches stands; raise HardeningError otherwise."""
        found = self._matches(pattern)
        if len(found) != 1:
            raise self._missing(pattern, f"{len(found)} lines match")
        self.lines[found[0] : found[0] + 1] = replacement

    def remove(self, pattern: str, *, required: bool = True) -> None:
        """Drop every line that matches; raise HardeningError where there is none and one is required."""
        found = self._matches(pattern)
        if required and not found:
            raise self._missing(pattern, "no line matches")
        self.lines = [line for line in self.lines if not re.fullmatch(pattern, line)]

    def require(self, pattern: str) -> None:
        """Raise HardeningError unless exactly one line matches."""
        if len(self._matches(pattern)) != 1:
            raise self._missing(pattern, "expected exactly one such line")

    def insert_after(self, pattern: str, *added: str) -> None:
        """Add lines below the one that matches; raise HardeningError where it is not exactly one."""
        self.require(pattern)
        position = self._matches(pattern)[0] + 1
        self.lines[position:position] = added

    def append(self, *added: str) -> None:
        """Add lines at the end."""
        self.lines.extend(added)

    def _matches(self, pattern: str) -> list[int]:
        return [index for index, line in enumerate(self.lines) if re.fullmatch(pattern, line)]

    def _missing(self, pattern: str, why: str) -> HardeningError:
        return HardeningError(f"section {self.header!r}: {why} for {pattern!r}")


def parse(text: str) -> list[Section]:
    """Split a configuration into sections, without comments and empty lines."""
    sections: list[Section] = []
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.split()[0] in _KEYWORDS and not raw[0].isspace():
            sections.append(Section(" ".join(line.split())))
        elif sections:
            sections[-1].lines.append(line)
        else:
            raise HardeningError(f"{line!r} stands before the first section")
    return sections


def render(sections: list[Section]) -> str:
    """Write sections as HAProxy reads them."""
    blocks = ["\n".join([section.header, *(f"    {line}" for line in section.lines)]) for section in sections]
    return "\n\n".join(blocks) + "\n"
