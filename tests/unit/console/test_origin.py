"""Which requests may use the session that they come with."""

from __future__ import annotations

import pytest

from serve_app.console.origin import is_from_our_page

_HOST = (b"host", b"pay.example:8000")


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ([(b"sec-fetch-site", b"same-origin")], True),
        ([(b"sec-fetch-site", b"same-site"), (b"origin", b"https://pay.example:8000")], False),
        ([(b"sec-fetch-site", b"cross-site")], False),
        ([(b"sec-fetch-site", b"none")], False),
        ([(b"origin", b"http://pay.example:8000")], True),
        ([(b"origin", b"https://pay.example:8000")], True),
        ([(b"origin", b"http://pay.example:9000")], False),
        ([(b"origin", b"http://evil.pay.example:8000")], False),
        ([(b"origin", b"null")], False),
        ([], False),
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH", "PUT"])
def test_what_changes_something_is_of_our_page(headers: list[tuple[bytes, bytes]], ours: bool, method: str) -> None:
    """By Sec-Fetch-Site where the browser says it, else by Origin; a request with neither is refused."""
    assert is_from_our_page(method, [_HOST, *headers]) is ours


def test_without_a_host_nothing_is_ours() -> None:
    """Not even an empty origin."""
    assert not is_from_our_page("POST", [(b"origin", b"http://")])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_only_reads_may_come_from_anywhere(method: str) -> None:
    """Another origin does not see the answer; and a link that is followed has to open the page."""
    assert is_from_our_page(method, [(b"sec-fetch-site", b"cross-site")])
