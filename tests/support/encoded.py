"""Decodes what was answered, as a client would: with the codecs' own decoders, chunk by chunk."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

import brotli
import zstandard

from serve_app.compression.coding import Codec


def decode(coding: str | None, body: bytes) -> bytes:
    """Return the body; fail where it is not complete or has anything after its end."""
    return b"".join(decode_chunks(coding, [body]))


def decode_chunks(coding: str | None, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what each chunk adds to the body; fail at the end where it is not complete."""
    if coding is None:
        yield from chunks
    elif coding == Codec.GZIP:
        gzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
        yield from (gzip.decompress(chunk) for chunk in chunks)
        assert gzip.eof
        assert gzip.unused_data == b""
    elif coding == Codec.BROTLI:
        br = brotli.Decompressor()
        yield from (br.process(chunk) if chunk else b"" for chunk in chunks)
        assert br.is_finished()
    else:
        assert coding == Codec.ZSTD
        zstd = zstandard.ZstdDecompressor().decompressobj()
        yield from (zstd.decompress(chunk) if chunk else b"" for chunk in chunks)
        assert zstd.eof
        assert zstd.unused_data == b""
