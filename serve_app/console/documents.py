"""The two pages: the one to sign in at, and the one to work with."""

from __future__ import annotations

from html import escape

from serve_app.console.assets import Assets
from serve_app.http.response import Headers, Response
from serve_app.problems import Code, Problem, response_of

_HEADERS: Headers = (
    (b"content-type", b"text/html; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
        b"trusted-types 'none'",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
_EXPLAINED = (Code.PERMISSION_DENIED, Code.RATE_LIMITED, Code.OVERLOADED)
"""What a person should read of; that nobody is signed in yet needs no word."""


class Documents:
    """Makes the pages."""

    def __init__(self, assets: Assets) -> None:
        self._console = assets.page("console.html")
        self._sign_in = assets.page("sign_in.html").decode()

    def console(self, headers: Headers = ()) -> Response:
        """Return the page to work with."""
        return Response(200, self._console, (*_HEADERS, *headers))

    def sign_in(self, problem: Problem) -> Response:
        """Return the page to sign in at, with the status of the problem and, where signing in alone does not mend it,
        its text."""
        message = escape(problem.detail) if problem.code in _EXPLAINED else ""
        # A browser shows its own form to a challenge; ours is in the page.
        told = response_of(problem, "").headers[1:]
        kept = tuple(header for header in told if header[0] != b"www-authenticate")
        body = self._sign_in.replace("{message}", message).encode()
        return Response(problem.code.status, body, (*_HEADERS, *kept))
