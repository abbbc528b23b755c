"""Ratio and time of each codec at each of its levels.

The time is what the thread had of a processor: what else runs on the machine is not in it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from serve_app.compression.coding import CODINGS
from serve_app.compression.encoder import Encoder
from tests.bench.compression.bodies import SIZES, payment_page

TARGET_BODY = "10 KB"
RATIO_MAX = 0.5
MS_MAX = 1.0
_CALLS_MIN = 15
_CALLS_MAX = 400
_WITHIN_S = 0.2


@dataclass(frozen=True, slots=True)
class CodecFigure:
    """What one level makes of one body: the ratio is what is left; times are those of a processor, for one call."""

    body: str
    bytes_in: int
    codec: str
    level: int
    bytes_out: int
    ratio: float
    p50_ms: float
    p99_ms: float

    @property
    def met(self) -> bool | None:
        """Whether the target is met, None where there is none for this body."""
        return self.ratio <= RATIO_MAX and self.p50_ms <= MS_MAX if self.body == TARGET_BODY else None


def codec_figures() -> Iterator[CodecFigure]:
    """Measure all of them."""
    encoder = Encoder()
    for name, size in SIZES.items():
        body = payment_page(size)
        for codings in CODINGS.values():
            for coding in codings:
                encoded = encoder.encode(body, coding)
                took = times_ms(lambda body=body, coding=coding: encoder.encode(body, coding))  # type: ignore[misc]
                yield CodecFigure(
                    name, len(body), coding.codec.value, coding.level, len(encoded),
                    len(encoded) / len(body), took[0], took[1],
                )  # fmt: skip


def times_ms(call: Callable[[], object]) -> tuple[float, float]:
    """Return the median and the 99th percentile of a call's times, each taken alone."""
    times: list[float] = []
    end = time.perf_counter() + _WITHIN_S
    while len(times) < _CALLS_MIN or (len(times) < _CALLS_MAX and time.perf_counter() < end):
        started = time.thread_time()
        call()
        times.append((time.thread_time() - started) * 1000)
    return statistics.median(times), statistics.quantiles(times, n=100, method="inclusive")[98]
