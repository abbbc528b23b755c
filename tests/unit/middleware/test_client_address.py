"""Whose request it is, by what the ingress has written."""

from __future__ import annotations

import pytest

from serve_app.middleware.client_address import client_address


def _headers(*values: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"x"), *((b"x-forwarded-for", value) for value in values)]


@pytest.mark.parametrize(
    ("value", "address"),
    [
        (b"192.0.2.7", "192.0.2.7"),
        (b" 192.0.2.7 ", "192.0.2.7"),
        (b"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (b"2001:DB8:1:2::", "2001:db8:1:2::/64"),
        (b"::1", "::/64"),
        (b"::ffff:192.0.2.7", "192.0.2.7"),
        (b"fe80::1%eth0", "fe80::/64"),
    ],
)
def test_an_address_has_one_form(value: bytes, address: str) -> None:
    """Of IPv6 the site; an address of IPv4 that is written as one of IPv6 is itself."""
    assert client_address(_headers(value)) == address


@pytest.mark.parametrize(
    "values",
    [(), (b"",), (b"192.0.2.7, 192.0.2.8",), (b"192.0.2.7", b"192.0.2.8"), (b"unknown",), (b"\xff",), (b"1" * 65,)],
)
def test_what_the_ingress_would_not_write_is_no_address(values: tuple[bytes, ...]) -> None:
    """None, more than one, and what is no address at all."""
    assert client_address(_headers(*values)) is None
