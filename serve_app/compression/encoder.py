"""Encodes bodies: whole ones, and streams of which each chunk can be decoded as soon as it was sent."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Protocol, cast

import brotli
import zstandard

from serve_app.compression.coding import Codec, Coding

_GZIP_WINDOW = 16 + zlib.MAX_WBITS
"""The window of 32 KB, in gzip's format instead of zlib's own."""


class Encoder:
    """Encodes whole bodies. One is used by one thread alone: it keeps zstd's tables from one body to the next."""

    def __init__(self) -> None:
        self._zstd: dict[int, zstandard.ZstdCompressor] = {}

    def encode(self, body: bytes, coding: Coding) -> bytes:
        """Return the body, encoded. The time of it is spent without the interpreter's lock."""
        if coding.codec is Codec.ZSTD:
            return self._zstd_of(coding.level).compress(body)
        if coding.codec is Codec.BROTLI:
            return cast(bytes, brotli.compress(body, quality=coding.level))
        # Not `gzip.compress`: it writes the time, and a body would not be the same twice.
        gzip = zlib.compressobj(coding.level, zlib.DEFLATED, _GZIP_WINDOW)
        return gzip.compress(body) + gzip.flush()

    def _zstd_of(self, level: int) -> zstandard.ZstdCompressor:
        compressor = self._zstd.get(level)
        if compressor is None:
            compressor = self._zstd[level] = zstandard.ZstdCompressor(level=level)
        return compressor


class ChunkEncoder(Protocol):
    """Encodes one body in chunks. Its calls may come from several threads, one after the other."""

    def encode(self, chunk: bytes) -> bytes:
        """Return what lets the receiver decode all of the body so far."""
        ...

    def finish(self, chunk: bytes) -> bytes:
        """Return the rest, with a last chunk."""
        ...


def chunk_encoder(coding: Coding) -> ChunkEncoder:
    """Return an encoder for one body."""
    return _OF_CHUNKS[coding.codec](coding.level)


class _ZstdChunks:
    def __init__(self, level: int) -> None:
        # Not the compressor of whole bodies: a compressor has one stream at a time.
        self._stream = zstandard.ZstdCompressor(level=level).compressobj()

    def encode(self, chunk: bytes) -> bytes:
        return self._stream.compress(chunk) + self._stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def finish(self, chunk: bytes) -> bytes:
        return self._stream.compress(chunk) + self._stream.flush(zstandard.COMPRESSOBJ_FLUSH_FINISH)


class _BrotliChunks:
    def __init__(self, level: int) -> None:
        self._stream = brotli.Compressor(quality=level)

    def encode(self, chunk: bytes) -> bytes:
        return cast(bytes, self._stream.process(chunk) + self._stream.flush())

    def finish(self, chunk: bytes) -> bytes:
        return cast(bytes, self._stream.process(chunk) + self._stream.finish())


class _GzipChunks:
    def __init__(self, level: int) -> None:
        self._stream = zlib.compressobj(level, zlib.DEFLATED, _GZIP_WINDOW)

    def encode(self, chunk: bytes) -> bytes:
        return self._stream.compress(chunk) + self._stream.flush(zlib.Z_SYNC_FLUSH)

    def finish(self, chunk: bytes) -> bytes:
        return self._stream.compress(chunk) + self._stream.flush(zlib.Z_FINISH)


_OF_CHUNKS: dict[Codec, Callable[[int], ChunkEncoder]] = {
    Codec.ZSTD: _ZstdChunks,
    Codec.BROTLI: _BrotliChunks,
    Codec.GZIP: _GzipChunks,
}
