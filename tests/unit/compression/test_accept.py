"""Accept-Encoding is read as RFC 9110 says, and what cannot be read asks for nothing."""

from __future__ import annotations

import pytest

from serve_app.compression.accept import FIELD_BYTES_MAX, NOTHING, Accepted, accepted, read_field
from serve_app.compression.coding import Codec

_BR, _GZIP, _ZSTD = Codec.BROTLI, Codec.GZIP, Codec.ZSTD
_ALL = (_ZSTD, _BR, _GZIP)


@pytest.mark.parametrize(
    ("field", "codecs", "needs_coding"),
    [
        # The five examples of RFC 9110, 12.5.3.
        (b"compress, gzip", (_GZIP,), False),
        (b"", (), False),
        (b"*", _ALL, False),
        (b"compress;q=0.5, gzip;q=1.0", (_GZIP,), False),
        (b"gzip;q=1.0, identity; q=0.5, *;q=0", (_GZIP,), False),
        # The highest weight is preferred, and equal ones leave the choice to the server.
        (b"gzip, deflate, br, zstd", _ALL, False),
        (b"gzip;q=0.5, br;q=0.8, zstd;q=0.799", (_BR,), False),
        (b"gzip;q=0.001", (_GZIP,), False),
        (b"br;q=0, gzip", (_GZIP,), False),
        (b"*;q=0.3, gzip;q=0.2", (_ZSTD, _BR), False),
        (b"*, gzip;q=0", (_ZSTD, _BR), False),
        # A body as it is can be preferred, or refused, by its name or with all the rest.
        (b"identity", (), False),
        (b"identity, gzip;q=0.5", (), False),
        (b"identity;q=0.5, gzip;q=0.5", (_GZIP,), False),
        (b"gzip, identity;q=0", (_GZIP,), True),
        (b"gzip;q=0.1, *;q=0", (_GZIP,), True),
        (b"*, identity;q=0", _ALL, True),
        # With nothing left the field is disregarded.
        (b"identity;q=0", (), False),
        (b"*;q=0", (), False),
        (b"compress, identity;q=0", (), False),
        # Names have no case, spaces are where the grammar has them, and gzip has an old name.
        (b"GZip ; Q=1.000", (_GZIP,), False),
        (b"x-gzip;q=0.7", (_GZIP,), False),
        (b",, gzip,\t,", (_GZIP,), False),
    ],
)
def test_a_field_is_read(field: bytes, codecs: tuple[Codec, ...], needs_coding: bool) -> None:
    """What is liked best of what there is, and whether a body as it is will do."""
    assert read_field(field) == Accepted(codecs, needs_coding)


@pytest.mark.parametrize(
    "member",
    [
        b"gzip;q=2",
        b"gzip;q=1.001",
        b"gzip;q=-1",
        b"gzip;q=0.1234",
        b"gzip;q=.5",
        b"gzip;q",
        b"gzip;q=",
        b"gzip;q = 1",
        b"gzip;level=9",
        b"gzip;q=1;q=0",
        b"gzip br",
        b'"gzip"',
        b"\xff\xfe",
        b"gzip;q=1\n",
    ],
)
def test_a_malformed_member_counts_as_not_sent(member: bytes) -> None:
    """The others are read all the same."""
    assert read_field(member) == NOTHING
    assert read_field(member + b", br") == Accepted((_BR,))


def test_a_coding_named_twice_has_the_lower_weight() -> None:
    """So a refusal stays one."""
    assert read_field(b"gzip;q=0, gzip, br;q=0.1") == Accepted((_BR,))


def test_a_field_that_is_too_long_is_not_read() -> None:
    """Up to the bound it is."""
    padding = b"," * (FIELD_BYTES_MAX - len(b"gzip"))
    assert read_field(b"gzip" + padding) == Accepted((_GZIP,))
    assert read_field(b"gzip" + padding + b",") == NOTHING


def test_fields_are_joined_and_without_one_nothing_is_accepted() -> None:
    """Several lines of a field are one list."""
    assert accepted(
        [(b"host", b"a"), (b"accept-encoding", b"gzip"), (b"accept-encoding", b"identity;q=0")]
    ) == Accepted((_GZIP,), needs_coding=True)
    assert accepted([(b"host", b"gzip"), (b"accept", b"br")]) == NOTHING
