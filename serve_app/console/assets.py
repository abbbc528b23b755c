"""The files of the operations page: all of them ours, none from the internet.

They lie under a path with the hash of all of them, so browsers keep them for good and a new version of the gateway has
new addresses. They are compressed once, harder than a live answer could be.

Source: RFC 9111; RFC 8246 (immutable); RFC 9110, 8.8 and 13.1.2 (validators).
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable

import brotli

from serve_app.compression.accept import accepted
from serve_app.compression.coding import Codec
from serve_app.http.response import Headers, Response

PATH = "/ops/assets"
_FOR_GOOD = b"public, max-age=31536000, immutable"
_NOT_AT_ALL = b"no-store"
_TYPES = {
    ".js": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".txt": b"text/plain; charset=utf-8",
    ".svg": b"image/svg+xml",
}
_COMPRESSED_FROM_BYTES = 1024

RequestHeaders = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Asset:
    """One file, and what is smaller of it in each coding."""

    name: str
    body: bytes

    @cached_property
    def tag(self) -> bytes:
        """The strong validator of the file as it is."""
        return hashlib.sha256(self.body).hexdigest()[:24].encode()

    @cached_property
    def media_type(self) -> bytes:
        """The media type, by the ending."""
        return _TYPES["." + self.name.rpartition(".")[2]]

    @cached_property
    def encoded(self) -> Mapping[Codec, bytes]:
        """The file in each coding: some milliseconds of work at the first request for it."""
        if len(self.body) < _COMPRESSED_FROM_BYTES:
            return {}
        return {Codec.BROTLI: brotli.compress(self.body, quality=9), Codec.GZIP: gzip.compress(self.body, 9, mtime=0)}


class Assets:
    """Serves the files of a folder, by name."""

    def __init__(self, folder: Traversable | None = None) -> None:
        root = folder or files("serve_app.console") / "assets"
        self._assets = {asset.name: asset for asset in _read(root)}
        digest = hashlib.sha256()
        for asset in sorted(self._assets.values(), key=lambda asset: asset.name):
            digest.update(asset.name.encode() + b"\0" + asset.tag)
        self.version = digest.hexdigest()[:16]

    def page(self, name: str) -> bytes:
        """Return an HTML file with the addresses of the files that it names as ``{assets}/...``."""
        text = (files("serve_app.console") / "assets" / name).read_text(encoding="utf-8")
        return text.replace("{assets}", f"{PATH}/{self.version}").encode()

    def answer(self, version: str, name: str, headers: RequestHeaders) -> Response | None:
        """Return the answer to a request for a file, None where there is none of that name.

        While versions change, a page of one may ask a replica of the other: it gets what there is, and keeps it not.
        """
        asset = self._assets.get(name)
        if asset is None:
            return None
        headers = list(headers)
        codec, body = _chosen(asset, headers)
        tag = b'"%b%b"' % (asset.tag, b"" if codec is None else b"-" + codec.value.encode())
        kept = _FOR_GOOD if version == self.version else _NOT_AT_ALL
        common: Headers = (
            (b"cache-control", kept),
            (b"etag", tag),
            (b"vary", b"Accept-Encoding"),
            (b"x-content-type-options", b"nosniff"),
            (b"cross-origin-resource-policy", b"same-origin"),
        )
        if _knows(headers, tag):
            return Response(304, b"", common)
        coding: Headers = () if codec is None else ((b"content-encoding", codec.value.encode()),)
        return Response(200, body, ((b"content-type", asset.media_type), *common, *coding))


def _read(folder: Traversable) -> Iterable[Asset]:
    """Yield the files that are served; pages are no assets."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _read(entry)
        elif not entry.name.endswith(".html"):
            yield Asset(entry.name, entry.read_bytes())


def _chosen(asset: Asset, headers: RequestHeaders) -> tuple[Codec | None, bytes]:
    """Return the smallest of what the client likes best."""
    options = [(codec, asset.encoded[codec]) for codec in accepted(headers).codecs if codec in asset.encoded]
    if not options:
        return None, asset.body
    return min(options, key=lambda option: len(option[1]))


def _knows(headers: RequestHeaders, tag: bytes) -> bool:
    for name, value in headers:
        if name == b"if-none-match":
            return any(each.strip() in (tag, b"*", b"W/" + tag) for each in value.split(b","))
    return False
