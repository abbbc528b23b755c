"""What encoding a body is expected to give and to cost: measured beforehand, and corrected by what each route shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from serve_app.compression.coding import CODINGS, Codec, Coding

WEIGHT = 0.2
"""Of the newest body in what is learnt of a route: an average over about the last ten."""
SLOWER_MAX = 4.0
"""How many times the expected time one body can show: more is a first use, or a processor that was interrupted."""


class Expected(NamedTuple):
    """Of one body in one coding: its encoded size in bytes, and the milliseconds of a processor that it takes."""

    bytes_out: float
    ms: float


@dataclass(frozen=True, slots=True)
class _Line:
    """Size and time as straight lines over the body's size."""

    bytes_fixed: float
    ratio: float
    ms_fixed: float
    ms_per_kb: float

    def at(self, size: int) -> Expected:
        bytes_out = self.bytes_fixed + self.ratio * size
        return Expected(min(bytes_out, size), self.ms_fixed + self.ms_per_kb * size / 1000)


_ZSTD_1, _ZSTD_3 = CODINGS[Codec.ZSTD]
_BR_1, _BR_2, _BR_5 = CODINGS[Codec.BROTLI]
_GZIP_1, _GZIP_6 = CODINGS[Codec.GZIP]
# Drawn through the measurements at 10 and 100 KB in `coding`. What is fixed is the first record of a page: the others
# repeat it.
_MEASURED: Mapping[Coding, _Line] = {
    _ZSTD_1: _Line(577, 0.124, 0.005, 0.0017),
    _ZSTD_3: _Line(473, 0.129, 0.008, 0.0017),
    _BR_1: _Line(603, 0.135, 0.013, 0.0025),
    _BR_2: _Line(430, 0.140, 0.002, 0.0065),
    _BR_5: _Line(384, 0.122, 0.023, 0.0172),
    _GZIP_1: _Line(365, 0.166, 0.010, 0.0050),
    _GZIP_6: _Line(458, 0.136, 0.015, 0.0130),
}


@dataclass(slots=True)
class _Correction:
    """What one route's bodies are of what was measured beforehand, and how many told so."""

    bytes_out: float = 1.0
    ms: float = 1.0
    seen: int = 0


_NONE: Mapping[Coding, _Correction] = {}


class Learnt:
    """Keeps a correction for each coding of each route: some hundreds of small objects, however many bodies there are.

    `route` is a template of a path, of which there are as many as were declared.
    """

    def __init__(self) -> None:
        self._routes: dict[str, dict[Coding, _Correction]] = {}

    def expected(self, route: str, coding: Coding, size: int) -> Expected:
        """Return what to expect of a body of that size."""
        return _corrected(coding, self._routes.get(route, _NONE).get(coding), size)

    def expected_of(self, route: str, codings: Iterable[Coding], size: int) -> list[tuple[Coding, Expected]]:
        """Return what to expect of each of several codings, in their order."""
        corrections = self._routes.get(route, _NONE)
        return [(coding, _corrected(coding, corrections.get(coding), size)) for coding in codings]

    def observe(self, route: str, coding: Coding, size: int, actual: Expected) -> None:
        """Take in what a body of that size, not 0, came to."""
        measured = _MEASURED[coding].at(size)
        correction = self._routes.setdefault(route, {}).setdefault(coding, _Correction())
        ms = min(actual.ms / measured.ms, SLOWER_MAX * correction.ms)
        correction.bytes_out += WEIGHT * (actual.bytes_out / measured.bytes_out - correction.bytes_out)
        correction.ms += WEIGHT * (ms - correction.ms)
        correction.seen += 1

    def seen(self, route: str, coding: Coding) -> int:
        """Return how many bodies of the route were encoded so."""
        correction = self._routes.get(route, _NONE).get(coding)
        return 0 if correction is None else correction.seen


def _corrected(coding: Coding, correction: _Correction | None, size: int) -> Expected:
    measured = _MEASURED[coding].at(size)
    if correction is None:
        return measured
    return Expected(min(measured.bytes_out * correction.bytes_out, size), measured.ms * correction.ms)
