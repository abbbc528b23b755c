"""The content codings that the gateway can answer in, each with the levels that are worth their time.

Measured on pages of payments as the gateway makes them (`python -m tests.bench.compression`; the ratio is what is left
of a body, the time what one call takes of a processor, the better of two runs on a machine that had other work):

    level       10 KB             100 KB
    zstd 1      0.180  0.019 ms   0.129  0.17 ms
    zstd 3      0.175  0.023 ms   0.134  0.17 ms     on the page of the documentation 0.101 against 0.108
    br 1        0.193  0.038 ms   0.141  0.24 ms
    br 2        0.181  0.057 ms   0.144  0.67 ms
    br 5        0.159  0.175 ms   0.126  1.68 ms     on the page of the documentation 0.084 against 0.112
    gzip 1      0.201  0.040 ms   0.169  0.51 ms
    gzip 6      0.180  0.083 ms   0.141  1.35 ms

Left out: zstd -3, whose result was half as large again, and zstd 6 and 9, br 0, 3, 4 and 6 and gzip 3, whose result was
at most 4 % smaller than that of a quicker one of these.

Source: RFC 9110, 8.4.1 (gzip), RFC 7932 (br), RFC 8878 and 9659 (zstd: a window of at most 8 MB, which levels 1 and 3
keep with 0.5 and 2 MB).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Codec(StrEnum):
    """A content coding by its name in Accept-Encoding and Content-Encoding."""

    ZSTD = "zstd"
    BROTLI = "br"
    GZIP = "gzip"


# There is one object for each, in CODINGS: to be told apart by what they are cost 10 µs a body in look-ups.
@dataclass(frozen=True, slots=True, eq=False)
class Coding:
    """A codec at one of its levels."""

    codec: Codec
    level: int


CODINGS: Mapping[Codec, tuple[Coding, ...]] = {
    Codec.ZSTD: (Coding(Codec.ZSTD, 1), Coding(Codec.ZSTD, 3)),
    Codec.BROTLI: (Coding(Codec.BROTLI, 1), Coding(Codec.BROTLI, 2), Coding(Codec.BROTLI, 5)),
    Codec.GZIP: (Coding(Codec.GZIP, 1), Coding(Codec.GZIP, 6)),
}
"""The levels of each codec, the quickest first."""
