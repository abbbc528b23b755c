"""Whether a request was made by our own page: what keeps other sites from acting through an operator's browser.

`SameSite=Strict` keeps the cookie from requests that other sites cause, but a site is a registrable domain with all
that is below it: a page on another subdomain, or another port of the same host, is of the same site. So each request
that changes something has to say that it is of this very origin. Every browser of this decade sends Sec-Fetch-Site to
origins that it trusts (TLS and loopback); to others, and by older ones, Origin is sent with every request but GET and
HEAD. A request that has neither is not from a browser, and has no reason to come with a session instead of a key.

Rejected: a token in the page that scripts send along. It adds a secret to keep and to renew, and protects from nothing
that this does not, in a browser that sends either header.

Source: W3C Fetch Metadata Request Headers; RFC 6454; F. Valsorda, "Cross-Site Request Forgery" (2025), which Go's
net/http.CrossOriginProtection follows.
"""

from __future__ import annotations

from collections.abc import Iterable

_SAFE = frozenset({"GET", "HEAD"})


def is_from_our_page(method: str, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Say whether the request may use the session it came with. What is only read may be asked for from anywhere: no
    other origin sees the answer."""
    if method in _SAFE:
        return True
    given = {name: value for name, value in headers if name in (b"sec-fetch-site", b"origin", b"host")}
    if b"sec-fetch-site" in given:
        return given[b"sec-fetch-site"] == b"same-origin"
    origin, host = given.get(b"origin", b""), given.get(b"host", b"")
    # The scheme is not compared: behind a load balancer that ends TLS we would see another one than the browser.
    return bool(host) and origin.partition(b"://")[2] == host
