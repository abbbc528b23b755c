"""The key is taken from one Authorization header and from nowhere else."""

from __future__ import annotations

import pytest

from serve_app.middleware.authentication import authenticated, check_scope
from serve_app.problems import Code, Problem
from tests.unit.http.exchange import CALLER, KEY, SECRET, Headers, Keys, http_scope, limits_of

_UNKNOWN = limits_of()


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER  "])
async def test_the_caller_is_found(scheme: bytes) -> None:
    """The scheme's case and spaces do not matter."""
    scope = http_scope("GET", "/", [(b"authorization", scheme + SECRET.encode())])
    assert await authenticated(scope, Keys(), _UNKNOWN) == CALLER


async def test_a_known_key_is_not_asked_for_again() -> None:
    """The peek answers without a coroutine."""
    keys = Keys()
    for _ in range(3):
        await authenticated(http_scope("GET", "/", [KEY]), keys, _UNKNOWN)
    assert keys.asked == [SECRET]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", b"Basic " + SECRET.encode())],
        [(b"authorization", SECRET.encode())],
        [(b"authorization", b"Bearer sk_test_unknown")],
        [(b"authorization", b"Bearer \xff\xfe")],
        [(b"x-api-key", SECRET.encode())],
        [KEY, KEY],
        [KEY, (b"authorization", b"Bearer sk_test_other")],
    ],
)
async def test_without_one_valid_key_there_is_no_caller(headers: Headers) -> None:
    """401 with a challenge, and the key is not told back."""
    with pytest.raises(Problem) as caught:
        await authenticated(http_scope("GET", "/", headers), Keys(), _UNKNOWN)
    assert caught.value.code is Code.AUTHENTICATION_REQUIRED
    assert dict(caught.value.headers)[b"www-authenticate"].startswith(b"Bearer")
    assert "sk_test_unknown" not in caught.value.detail


async def test_a_key_in_the_url_is_none() -> None:
    """URLs end in logs."""
    query = f"api_key={SECRET}&key={SECRET}&access_token={SECRET}".encode()
    with pytest.raises(Problem) as caught:
        await authenticated(http_scope("GET", "/", query=query), Keys(), _UNKNOWN)
    assert caught.value.code is Code.AUTHENTICATION_REQUIRED


def test_a_scope_that_the_key_lacks_is_named() -> None:
    """403."""
    with pytest.raises(Problem, match="webhooks") as caught:
        check_scope(CALLER, "webhooks")
    assert caught.value.code is Code.PERMISSION_DENIED


async def test_each_request_with_a_valid_key_is_a_use_of_it() -> None:
    """Whatever comes of the request; without a valid key there is none."""
    keys = Keys()
    for _ in range(3):
        await authenticated(http_scope("GET", "/", [KEY]), keys, _UNKNOWN)
    with pytest.raises(Problem):
        await authenticated(http_scope("GET", "/", [(b"authorization", b"Bearer sk_test_unknown")]), keys, _UNKNOWN)
    assert keys.uses == [CALLER] * 3
