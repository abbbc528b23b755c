"""The cookie of a session."""

from __future__ import annotations

import pytest

from serve_app.console.cookie import SessionCookie

_TLS = (b"x-forwarded-proto", b"https")


def _written(*headers: tuple[bytes, bytes]) -> str:
    name, value = SessionCookie("easypay-1").write("token", headers, 60.0)
    assert name == b"set-cookie"
    return value.decode()


def test_no_script_and_no_other_site_gets_it() -> None:
    """And it goes to the operations page alone."""
    assert _written() == "easypay-1-ops=token; Path=/ops; Max-Age=60; HttpOnly; SameSite=Strict"


def test_under_tls_it_is_secure() -> None:
    """By its name, too; a cookie of the other name is not looked at."""
    assert _written(_TLS) == "__Secure-easypay-1-ops=token; Path=/ops; Max-Age=60; HttpOnly; SameSite=Strict; Secure"
    planted = (b"cookie", b"easypay-1-ops=planted")
    assert SessionCookie("easypay-1").read([_TLS, planted]) is None


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (b"easypay-1-ops=token", "token"),
        (b"a=b; easypay-1-ops=to=ken; c=d", "to=ken"),
        (b"easypay-2-ops=token", None),
        (b"easypay-1-ops=one; easypay-1-ops=two", None),
        (b"x" * 9000 + b"; easypay-1-ops=token", None),
    ],
)
def test_it_is_read_from_among_others(header: bytes, token: str | None) -> None:
    """That of another gateway on the host is none, and of two nobody can say which is ours."""
    assert SessionCookie("easypay-1").read([(b"cookie", header)]) == token


def test_it_is_forgotten() -> None:
    """At once, under the same name and path."""
    assert SessionCookie("easypay-1").clear(()) == (
        b"set-cookie",
        b"easypay-1-ops=; Path=/ops; Max-Age=0; HttpOnly; SameSite=Strict",
    )
