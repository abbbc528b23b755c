"""The content codings that the gateway can answer in, each with the levels that are worth their time.

Measured on pages of payments as the gateway makes them (`python -m tests.bench.compression`; the ratio is what is left
of a body, the time that of one call):

    level       10 KB             100 KB
    zstd 1      0.143  0.024 ms   0.107  0.15 ms
    zstd 3      0.146  0.019 ms   0.112  0.25 ms     on the documentation's page 0.101 against 0.108
    br 1        0.163  0.034 ms   0.116  0.23 ms
    br 2        0.147  0.066 ms   0.116  0.56 ms
    br 5        0.137  0.213 ms   0.111  2.81 ms     on the documentation's page 0.084 against 0.112
    gzip 1      0.168  0.055 ms   0.144  0.57 ms
    gzip 6      0.157  0.105 ms   0.125  1.67 ms

Left out: zstd -3 (0.221 at 10 KB) and zstd 6 and 9, br 0, 3, 4 and 6, gzip 3, for each of which one of these is both
smaller and quicker, or as small in a fraction of the time.

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


@dataclass(frozen=True, slots=True)
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
