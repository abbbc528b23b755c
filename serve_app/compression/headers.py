"""Headers of answers: which bodies may be encoded, and what is said of one that was.

Source: RFC 9110, 8.4 (Content-Encoding), 8.8.1 (weak validators), 12.5.5 (Vary), 15.3.7 (206); RFC 9111, 5.2.2.6
(no-transform).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from serve_app.compression.coding import Codec

Header = tuple[bytes, bytes]

_VARY: Header = (b"vary", b"Accept-Encoding")
# 206 and its ranges are of the body as it is; 204, 205 and 304 have none.
_STATUSES_LEFT_ALONE = frozenset({204, 205, 206, 304})
# What already has a coding, is a part, or has a digest that an encoded body would not have.
_HEADERS_LEFT_ALONE = frozenset(
    {b"content-encoding", b"content-range", b"content-digest", b"repr-digest", b"digest", b"content-md5"}
)
_TYPES = frozenset(
    {
        b"application/json",
        b"application/javascript",
        b"application/openmetrics-text",
        b"application/x-ndjson",
        b"application/xml",
        b"application/yaml",
    }
)
_TYPE_STARTS = (b"text/",)
# application/problem+json and application/vnd.oai.openapi+json among them.
_TYPE_ENDS = (b"+json", b"+xml", b"+yaml")


def declared_length(headers: Sequence[Header]) -> int | None:
    """Return the Content-Length, None without a valid one. It is mostly the last header, so they are read backwards."""
    for name, value in reversed(headers):
        if name == b"content-length":
            return int(value) if value.isdigit() else None
    return None


def may_be_encoded(status: int, headers: Iterable[Header], *, of_any_type: bool = False) -> bool:
    """Whether an answer's body may be encoded; `of_any_type` also what is expected not to become smaller."""
    if status < 200 or status in _STATUSES_LEFT_ALONE:
        return False
    fits = of_any_type
    for given_name, value in headers:
        name = given_name.lower()
        if name in _HEADERS_LEFT_ALONE or (name == b"cache-control" and _lists(value, b"no-transform")):
            return False
        if name == b"content-type":
            fits = fits or _is_text(value)
    return fits


def varied(headers: Iterable[Header]) -> list[Header]:
    """Return the headers with a Vary that says that Accept-Encoding was looked at, once."""
    kept = list(headers)
    for name, value in kept:
        if name.lower() == b"vary" and (_lists(value, b"accept-encoding") or _lists(value, b"*")):
            return kept
    return [*kept, _VARY]


def encoded(headers: Iterable[Header], codec: Codec, length: int | None) -> list[Header]:
    """Return the headers of the encoded body; without a length it is a stream.

    A strong ETag becomes a weak one: it names these bytes, and those of another coding are others that mean the same.
    """
    changed: list[Header] = []
    for given_name, value in headers:
        name = given_name.lower()
        if name == b"etag" and not value.startswith(b"W/"):
            changed.append((name, b"W/" + value))
        elif name not in (b"content-length", b"accept-ranges"):
            changed.append((given_name, value))
    changed.append((b"content-encoding", codec.value.encode()))
    if length is not None:
        changed.append((b"content-length", b"%d" % length))
    return varied(changed)


def _is_text(value: bytes) -> bool:
    media_type = value.partition(b";")[0].strip().lower()
    return media_type in _TYPES or media_type.startswith(_TYPE_STARTS) or media_type.endswith(_TYPE_ENDS)


def _lists(value: bytes, member: bytes) -> bool:
    return any(each.strip().lower() == member for each in value.split(b","))
