"""Over all addresses: what stands for a forbidden one is as forbidden, however it is written."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.webhooks.addresses import may_be_reached
from serve_app.webhooks.urls import UrlRefused, checked_host

_PRIVATE = st.sampled_from(
    ["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"]
).flatmap(
    lambda text: st.integers(int(IPv4Network(text).network_address), int(IPv4Network(text).broadcast_address)).map(
        IPv4Address
    )
)
_IPV4 = st.integers(0, 2**32 - 1).map(IPv4Address)
_IPV6 = st.integers(0, 2**128 - 1).map(IPv6Address)


def _forms(address: IPv4Address) -> list[str]:
    """Return the ways in which a resolver of the C library reads an IPv4 address, but for the one that is usual."""
    number, octets = int(address), address.packed
    rest3, rest2 = number & 0xFF_FFFF, number & 0xFFFF
    return [
        str(number), hex(number), f"0{number:o}",
        f"{octets[0]}.{rest3}", f"{octets[0]}.{octets[1]}.{rest2}",
        ".".join(map(hex, octets)), ".".join(f"0{each:o}" for each in octets),
        f"{hex(octets[0])}.{octets[1]}.0{octets[2]:o}.{octets[3]}",
    ]  # fmt: skip


@given(_PRIVATE)
def test_an_address_inside_is_refused_in_every_form(address: IPv4Address) -> None:
    """Written as IPv4 in any way, or in one of the IPv6 addresses that stand for it."""
    number = int(address)
    inside = [
        IPv6Address((0xFFFF << 32) | number),
        IPv6Address((0x64FF9B << 96) | number),
        IPv6Address((0x2002 << 112) | (number << 80) | 1),
        IPv6Address((0x20010000 << 96) | (number ^ 0xFFFF_FFFF)),
        IPv6Address(number),
        IPv6Address((0x2606_4700 << 96) | (0x5EFE << 32) | number),
    ]
    assert not may_be_reached(address, allow_loopback=False)
    assert not any(may_be_reached(each, allow_loopback=False) for each in inside)
    for host in [str(address), *_forms(address), *(f"[{each}]" for each in inside)]:
        with pytest.raises(UrlRefused):
            checked_host(f"https://{host}/", allow_loopback=False)


@given(_IPV4 | _IPV6)
def test_what_python_calls_private_is_refused(address: IPv4Address | IPv6Address) -> None:
    """Our own list leaves nothing out that the standard library knows."""
    inside = address.is_private or address.is_loopback or address.is_link_local or address.is_multicast
    if inside or address.is_reserved or address.is_unspecified:
        translated = isinstance(address, IPv6Address) and (
            address.ipv4_mapped is not None or int(address) >> 32 == 0x64FF9B << 64
        )
        assert translated or not may_be_reached(address, allow_loopback=False)


@given(_IPV4)
def test_a_mapped_address_is_as_public_as_the_one_inside(address: IPv4Address) -> None:
    """No more and no less."""
    mapped = IPv6Address((0xFFFF << 32) | int(address))
    assert may_be_reached(mapped, allow_loopback=False) == may_be_reached(address, allow_loopback=False)


@given(
    st.text(max_size=60) | st.text(alphabet="htps:/@.#?%[]\\0123456789abcdefx-", max_size=40).map("https://".__add__)
)
def test_no_text_breaks_the_check(text: str) -> None:
    """It is refused or it is taken."""
    try:
        host = checked_host(text, allow_loopback=False)
    except UrlRefused:
        return
    assert isinstance(host, str) or may_be_reached(host, allow_loopback=False)
