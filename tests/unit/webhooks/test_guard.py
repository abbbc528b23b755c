"""A name is checked when it is registered, when it is resolved, and when the socket is made."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import pytest

from serve_app.webhooks.guard import AddressGuard, ForbiddenAddress
from serve_app.webhooks.urls import UrlRefused


class Names:
    """A resolver of one name, which answers with each of its addresses in turn."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)

    async def __call__(self, host: str, port: int, family: int) -> Sequence[tuple[int, str]]:
        """Resolve."""
        answer = self._answers.pop(0)
        if not answer:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET6 if ":" in each else socket.AF_INET, each) for each in answer]


def _guard(*answers: Sequence[str]) -> AddressGuard:
    return AddressGuard(Names(*answers), allow_loopback=False)


async def test_a_name_of_public_addresses_is_taken() -> None:
    """Of both families."""
    await _guard(["8.8.8.8", "2606:4700:4700::1111"]).check("https://hooks.example.com/")


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:169.254.169.254"], ["fe80::1%eth0"]]
)
async def test_a_name_that_leads_inside_is_refused(addresses: list[str]) -> None:
    """Also where only one of its addresses does."""
    with pytest.raises(UrlRefused):
        await _guard(addresses).check("https://hooks.example.com/")
    with pytest.raises(ForbiddenAddress):
        await _guard(addresses).resolve("hooks.example.com")


async def test_a_name_that_cannot_be_resolved_now_is_taken() -> None:
    """It may be there tomorrow, and is checked at each delivery."""
    await _guard([]).check("https://hooks.example.com/")


async def test_a_name_that_leads_elsewhere_the_second_time_is_refused() -> None:
    """DNS rebinding: what was checked at registration proves nothing."""
    guard = _guard(["8.8.8.8"], ["127.0.0.1"])
    await guard.check("https://hooks.example.com/")
    with pytest.raises(ForbiddenAddress):
        await guard.resolve("hooks.example.com")


@pytest.mark.parametrize(
    ("family", "address"),
    [
        (socket.AF_INET, ("127.0.0.1", 80)),
        (socket.AF_INET, ("169.254.169.254", 80)),
        (socket.AF_INET6, ("::ffff:10.0.0.1", 80, 0, 0)),
        (socket.AF_INET6, ("fe80::1%eth0", 80, 0, 2)),
    ],
)
def test_no_socket_is_made_for_a_forbidden_address(family: int, address: tuple[object, ...]) -> None:
    """Whatever was resolved before: this is the address that would be connected to."""
    with pytest.raises(ForbiddenAddress):
        _guard().open_socket((family, socket.SOCK_STREAM, 0, "", address))


def test_a_socket_is_made_for_a_public_one() -> None:
    """Of the family that was asked for."""
    with _guard().open_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("8.8.8.8", 443))) as made:
        assert made.family == socket.AF_INET
