"""The cookie that carries a session's token.

`HttpOnly`: no script reads it. `SameSite=Strict`: it comes with no request that another site caused. `Path`: it goes to
the operations page and what belongs to it, and to no merchant's API. Under TLS it is `Secure`, and its name begins with
`__Secure-`, so that nobody in between can plant one over plain HTTP.

Source: RFC 6265; draft-ietf-httpbis-rfc6265bis, 4.1.3 (name prefixes) and 5.6.7 (SameSite).
"""

from __future__ import annotations

from collections.abc import Iterable

PATH = "/ops"
_SECURE_PREFIX = "__Secure-"
_HEADERS_LENGTH_MAX = 8192

Headers = Iterable[tuple[bytes, bytes]]


class SessionCookie:
    """A cookie of one gateway: two on one host, whose ports cookies do not tell apart, do not end each other's."""

    def __init__(self, gateway: str) -> None:
        self._name = f"{gateway}-ops"

    def read(self, headers: Headers) -> str | None:
        """Return the token that a request carries, None without one, or with more than one."""
        wanted = self._full_name(is_tls(headers := list(headers)))
        found = []
        for name, value in headers:
            if name != b"cookie" or len(value) > _HEADERS_LENGTH_MAX:
                continue
            for pair in value.decode("latin-1").split(";"):
                key, _, token = pair.strip().partition("=")
                if key == wanted:
                    found.append(token)
        return found[0] if len(found) == 1 else None

    def write(self, token: str, headers: Headers, max_age_s: float) -> tuple[bytes, bytes]:
        """Return the header that has the browser hold the token; `headers` are those of the request."""
        return self._header(token, is_tls(headers), round(max_age_s))

    def clear(self, headers: Headers) -> tuple[bytes, bytes]:
        """Return the header that has the browser forget it."""
        return self._header("", is_tls(headers), 0)

    def _header(self, token: str, secure: bool, max_age_s: int) -> tuple[bytes, bytes]:
        value = f"{self._full_name(secure)}={token}; Path={PATH}; Max-Age={max_age_s}; HttpOnly; SameSite=Strict"
        return b"set-cookie", (value + "; Secure" if secure else value).encode("ascii")

    def _full_name(self, secure: bool) -> str:
        return _SECURE_PREFIX + self._name if secure else self._name


def is_tls(headers: Headers) -> bool:
    """Say whether the browser came by TLS, as the ingress or a trusted proxy before it saw: clients cannot say so."""
    return any(name == b"x-forwarded-proto" and value == b"https" for name, value in headers)
