"""Who sends a request, as the ingress saw it.

A client can write any address into a header. The ingress takes away what clients wrote and puts one address into
X-Forwarded-For: that of the connection's other end, or, where that end is a proxy that is trusted, the address that the
proxy saw. Behind a proxy that is not configured as trusted, the other end of every connection is that proxy: so a limit
for each address is only of use where trusted proxies are named, and without them the header is not read.

Source: RFC 4291, 2.5.4 (a network of one site, or one home, is a /64 at least).
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv6Address, IPv6Network, ip_address

_HEADER = b"x-forwarded-for"
_TEXT_MAX = 64
_SITE_BITS = 64


def client_address(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the address, of IPv6 the first 64 bits, as text of one form; None where there is not just one.

    Only for headers that the ingress has written.
    """
    found = [value for name, value in headers if name == _HEADER]
    if len(found) != 1 or len(found[0]) > _TEXT_MAX:
        return None
    try:
        address = ip_address(found[0].decode("ascii").strip())
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(IPv6Network((int(address), _SITE_BITS), strict=False))
    return str(address)
