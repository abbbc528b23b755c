"""What encoding a body is expected to give and to cost: measured beforehand, and corrected by what each route shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from serve_app.compression.coding import CODINGS, Codec, Coding

WEIGHT = 0.2
"""Of the newest body in what is learnt of a route: an average over about the last ten."""
SLOWER_MAX = 4.0
"""How many times the expected time one body can show: more than that is a thread that had to wait for a processor."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Of one body in one coding: its encoded size in bytes, and the time that it takes in milliseconds."""

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
        return Expected(
            min(self.bytes_fixed + self.ratio * size, float(size)), self.ms_fixed + self.ms_per_kb * size / 1000
        )


_ZSTD_1, _ZSTD_3 = CODINGS[Codec.ZSTD]
_BR_1, _BR_2, _BR_5 = CODINGS[Codec.BROTLI]
_GZIP_1, _GZIP_6 = CODINGS[Codec.GZIP]
# Drawn through the measurements at 10 and 100 KB in `coding`. What is fixed is the first record of a page: the others
# repeat it.
_MEASURED: Mapping[Coding, _Line] = {
    _ZSTD_1: _Line(370, 0.1035, 0.010, 0.0014),
    _ZSTD_3: _Line(350, 0.1085, 0.010, 0.0020),
    _BR_1: _Line(480, 0.111, 0.013, 0.0021),
    _BR_2: _Line(320, 0.113, 0.012, 0.0055),
    _BR_5: _Line(270, 0.108, 0.060, 0.0275),
    _GZIP_1: _Line(300, 0.141, 0.020, 0.0055),
    _GZIP_6: _Line(330, 0.122, 0.020, 0.0165),
}


@dataclass(slots=True)
class _Correction:
    """What one route's bodies are of what was measured beforehand, and how many told so."""

    bytes_out: float = 1.0
    ms: float = 1.0
    seen: int = 0


class Learnt:
    """Keeps a correction for each coding of each route: some hundreds of small objects, however many bodies there are.

    `route` is a template of a path, of which there are as many as were declared.
    """

    def __init__(self) -> None:
        self._corrections: dict[tuple[str, Coding], _Correction] = {}

    def expected(self, route: str, coding: Coding, size: int) -> Expected:
        """Return what to expect of a body of that size."""
        measured = _MEASURED[coding].at(size)
        correction = self._corrections.get((route, coding))
        if correction is None:
            return measured
        bytes_out = min(measured.bytes_out * correction.bytes_out, float(size))
        return Expected(bytes_out, measured.ms * correction.ms)

    def observe(self, route: str, coding: Coding, size: int, actual: Expected) -> None:
        """Take in what a body of that size, not 0, came to."""
        measured = _MEASURED[coding].at(size)
        correction = self._corrections.setdefault((route, coding), _Correction())
        ms = min(actual.ms / measured.ms, SLOWER_MAX * correction.ms)
        correction.bytes_out += WEIGHT * (actual.bytes_out / measured.bytes_out - correction.bytes_out)
        correction.ms += WEIGHT * (ms - correction.ms)
        correction.seen += 1

    def seen(self, route: str, coding: Coding) -> int:
        """Return how many bodies of the route were encoded so."""
        correction = self._corrections.get((route, coding))
        return 0 if correction is None else correction.seen
