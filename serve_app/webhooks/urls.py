"""Which URLs an endpoint may have. One strict form, so that no two parsers can read a URL differently."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

from serve_app.webhooks.addresses import Address, may_be_reached

URL_LENGTH_MAX = 2048

_FORM = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?P<rest>[/?][!-~]*)?",
    re.IGNORECASE | re.ASCII,
)
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOCAL_NAMES = ("localhost",)
_PRIVATE_SUFFIXES = ("localhost", "local", "internal", "intranet", "lan", "arpa", "onion")
_NAME_LENGTH_MAX = 253
_PORT_MAX = 65_535


class UrlRefused(ValueError):
    """Webhooks cannot go to this URL; the text says why, and is fit to be shown."""


def checked_host(url: str, *, allow_loopback: bool) -> str | Address:
    """Return the host of a URL that webhooks may go to, as far as the URL tells: its name, or the address in it.

    Without ``allow_loopback`` it must be HTTPS.

    Raises:
        UrlRefused: they may not.
    """
    if len(url) > URL_LENGTH_MAX:
        raise UrlRefused(f"must have at most {URL_LENGTH_MAX} characters")
    found = _FORM.fullmatch(url)
    if found is None or "\\" in url or "#" in url:
        raise UrlRefused(_fault(url))
    if found["scheme"].lower() != "https" and not allow_loopback:
        raise UrlRefused("must start with https://")
    if found["port"] is not None and not 0 < int(found["port"]) <= _PORT_MAX:
        raise UrlRefused("must have a port from 1 to 65535")
    host = _host(found["host"].lower())
    if isinstance(host, str):
        _check_name(host, allow_loopback=allow_loopback)
    elif not may_be_reached(host, allow_loopback=allow_loopback):
        raise UrlRefused("must not lead to a private, loopback, link-local or reserved address")
    return host


def _fault(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.lower() not in ("https", "http"):
        return "must start with https://"
    if "@" in re.split(r"[/?#\\]", rest, maxsplit=1)[0]:
        return "must not hold a user or a password"
    if "#" in url:
        return "must have no fragment"
    return "must be a URL such as https://example.com/webhooks, in ASCII: other names and paths in their encoded form"


def _host(text: str) -> str | Address:
    """Return the name or the address, in the one way of writing it that everybody reads alike."""
    if text.startswith("["):
        try:
            return IPv6Address(text[1:-1])
        except ValueError:
            raise UrlRefused("must hold a valid IPv6 address in its brackets") from None
    name = text.removesuffix(".")
    # What ends in a number is an IPv4 address to some parsers, in one of many notations (WHATWG URL, 3.5).
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        try:
            return IPv4Address(name)
        except ValueError:
            raise UrlRefused("must hold an IPv4 address as four decimal numbers, if any") from None
    return name


def _check_name(name: str, *, allow_loopback: bool) -> None:
    labels = name.split(".")
    if len(name) > _NAME_LENGTH_MAX or not all(_LABEL.fullmatch(label) for label in labels):
        raise UrlRefused("must hold a valid host name")
    if allow_loopback and name in _LOCAL_NAMES:
        return
    if len(labels) == 1 or any(name == suffix or name.endswith(f".{suffix}") for suffix in _PRIVATE_SUFFIXES):
        raise UrlRefused("must hold a public host name")
