"""Which addresses webhooks may go to: those of the public internet, and nothing that only this network can reach.

Kept here rather than asked of `ipaddress`, whose idea of what is global differs between releases of Python.
Source: the IANA special-purpose address registries (RFC 6890), as of 2025.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

_IPV4_REFUSED = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, and the metadata of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "168.63.129.16/32",  # public by its number; Azure answers on it inside every virtual network
    )
)
_IPV6_PUBLIC = IPv6Network("2000::/3")
"""All that is handed out for the internet. What is outside of it is loopback, private, link-local, multicast or odd."""
_IPV6_REFUSED = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments; Teredo, whose addresses hold another one, is among them
        "2001:db8::/32",
        "2002::/16",  # 6to4, which leads to the IPv4 address inside
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")
"""What a network without IPv4 reaches it by: as public as the address inside."""
_ISATAP = 0x00005EFE
_LOOPBACK = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


def parse_address(text: str) -> Address:
    """Return the address that a socket is connected to; the zone of a link-local one is left off.

    Raises:
        ValueError: it is none.
    """
    return ip_address(text.partition("%")[0])


def may_be_reached(address: Address, *, allow_loopback: bool) -> bool:
    """Say whether webhooks may go to the address; an IPv6 address that stands for an IPv4 one is judged as that."""
    if isinstance(address, IPv6Address):
        if address in _MAPPED or address in _NAT64:
            # Loopback is what is connected to as such: an address that a translator makes is not.
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
            return may_be_reached(inner, allow_loopback=allow_loopback and address in _MAPPED)
        if allow_loopback and address in _LOOPBACK[1]:
            return True
        return _is_public_ipv6(address)
    if allow_loopback and address in _LOOPBACK[0]:
        return True
    return not any(address in network for network in _IPV4_REFUSED)


def _is_public_ipv6(address: IPv6Address) -> bool:
    # An interface identifier of ISATAP (RFC 5214) holds an IPv4 address; the global bit may be set.
    tunnels = (int(address) >> 32 & 0xFDFF_FFFF) == _ISATAP
    return address in _IPV6_PUBLIC and not tunnels and not any(address in network for network in _IPV6_REFUSED)
