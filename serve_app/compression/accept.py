"""What a client accepts: its Accept-Encoding, read.

A member that is malformed, such as `gzip;q=high`, counts as not sent: nobody gets a coding that was not asked for in
so many words. A coding that is named twice has the lower of its weights.

Where a client refuses every coding that there is and identity too, it is answered as if it had not asked: RFC 9110,
12.4.1, leaves the choice between that and 406, 12.5.3 has no "SHOULD" for 406 any more, as RFC 2616 had, and its
editors meant that (httpwg/http-core, issue 980: no coding at all interoperates better). For payments there is a reason
of our own: when an answer is encoded the money has moved, and a 406 would hide that.

Source: RFC 9110, 12.4.2 (weights), 12.5.3 (Accept-Encoding), 8.4.1.3 (x-gzip).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from serve_app.compression.coding import Codec

FIELD_BYTES_MAX = 512
"""A longer field is not read: browsers send 23 bytes, and parsing must not be a way to keep the loop busy."""
_KNOWN_FIELDS_MAX = 256

_MEMBER = re.compile(
    rb"[ \t]*(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+)"
    rb"[ \t]*(?:;[ \t]*[qQ]=(?P<weight>0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*)?"
)
_IDENTITY, _ANY = b"identity", b"*"
_ALIASES = {b"x-gzip": b"gzip"}


@dataclass(frozen=True, slots=True)
class Accepted:
    """The codecs that a client likes best, all alike, and whether it wants no body without one of them.

    There are none where it prefers a body as it is.
    """

    codecs: tuple[Codec, ...]
    needs_coding: bool = False


NOTHING = Accepted(())


def accepted(headers: Iterable[tuple[bytes, bytes]]) -> Accepted:
    """Return what the headers of a request accept.

    Without the field any coding would be acceptable, but those who do not send it mostly cannot decode: they get none.
    """
    found: bytes | None = None
    for name, value in headers:
        if name == b"accept-encoding":
            found = value if found is None else found + b"," + value
    return NOTHING if found is None else read_field(found)


# Clients send a handful of different fields: one of a browser takes 10 µs to read, and 0.1 µs to know again.
@lru_cache(maxsize=_KNOWN_FIELDS_MAX)
def read_field(field: bytes) -> Accepted:
    """Return what a field's value accepts."""
    if len(field) > FIELD_BYTES_MAX:
        return NOTHING
    weights = _weights(field)
    liked = {codec: weights.get(codec.value.encode(), weights.get(_ANY, 0)) for codec in Codec}
    most = max(liked.values())
    # Identity is always acceptable unless it is refused, but only a client that names it can prefer it.
    identity = weights.get(_IDENTITY)
    if most == 0 or (identity is not None and identity > most):
        return NOTHING
    refused = identity == 0 or (identity is None and weights.get(_ANY) == 0)
    return Accepted(tuple(codec for codec, weight in liked.items() if weight == most), needs_coding=refused)


def _weights(field: bytes) -> Mapping[bytes, int]:
    """Return the weight of each coding in thousandths, by its name in lower case."""
    weights: dict[bytes, int] = {}
    for member in field.split(b","):
        match = _MEMBER.fullmatch(member)
        if match is None:
            continue
        name = match["name"].lower()
        name = _ALIASES.get(name, name)
        weight = 1000 if match["weight"] is None else round(float(match["weight"]) * 1000)
        weights[name] = min(weight, weights.get(name, 1000))
    return weights
