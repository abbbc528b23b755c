"""Keys are made, listed without themselves, and revoked."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from serve_app.merchants.administration import create_key, is_valid_key, list_keys, revoke_key
from tests.support.gateway_services import PEPPER, gateway_services
from tests.support.postgres import APP_ROLE, TestPostgres


async def test_a_key_works_until_it_is_revoked(postgres: TestPostgres) -> None:
    """It authenticates with its scopes; revoked it is nobody's, and revoking again changes nothing."""
    issued = await create_key(
        postgres.url(), PEPPER, merchant="Acme", scopes=["payments:read"], rate_limit_per_minute=7
    )
    async with gateway_services(postgres.url(APP_ROLE)) as services:
        caller = await services.authenticator.authenticate(issued.api_key)
        assert caller is not None
        assert (caller.scopes, caller.rate_limit_per_minute) == (frozenset({"payments:read"}), 7)
        assert services.authenticator.peek(issued.api_key) == caller
    assert await is_valid_key(postgres.url(), PEPPER, issued.api_key)
    assert [await revoke_key(postgres.url(), issued.id) for _ in range(2)] == [issued.merchant_id] * 2
    assert not await is_valid_key(postgres.url(), PEPPER, issued.api_key)
    async with gateway_services(postgres.url(APP_ROLE)) as services:
        assert await services.authenticator.authenticate(issued.api_key) is None


async def test_a_process_is_familiar_with_keys_that_were_valid_when_it_last_asked(postgres: TestPostgres) -> None:
    """Not with one that it has not met, nor with one that has been revoked since."""
    issued = await create_key(postgres.url(), PEPPER, merchant="Acme", scopes=["audit"])
    async with gateway_services(postgres.url(APP_ROLE)) as services:
        authenticator = services.authenticator
        assert not authenticator.is_familiar(issued.api_key)
        assert await authenticator.authenticate(issued.api_key) is not None
        assert authenticator.is_familiar(issued.api_key)
        await revoke_key(postgres.url(), issued.id)
        assert await authenticator.authenticate(issued.api_key) is None
        assert not authenticator.is_familiar(issued.api_key)


async def test_the_pepper_is_needed(postgres: TestPostgres) -> None:
    """With another pepper the key is unknown, and no listing holds it."""
    issued = await create_key(postgres.url(), PEPPER, merchant="Acme", scopes=["audit"])
    assert not await is_valid_key(postgres.url(), b"another pepper", issued.api_key)
    assert issued.api_key not in repr(await list_keys(postgres.url()))


async def test_an_expired_key_is_not_valid(postgres: TestPostgres) -> None:
    """Its time is over."""
    past = datetime(2026, 1, 1, tzinfo=UTC)
    issued = await create_key(postgres.url(), PEPPER, merchant="Late", scopes=["audit"], expires_at=past)
    assert not await is_valid_key(postgres.url(), PEPPER, issued.api_key)


@pytest.mark.parametrize("scopes", [[], ["payments:destroy"]])
async def test_a_wrong_scope_is_named(postgres: TestPostgres, scopes: list[str]) -> None:
    """And the ones that there are."""
    with pytest.raises(ValueError, match="payments:read"):
        await create_key(postgres.url(), PEPPER, merchant="Acme", scopes=scopes)


async def test_what_is_no_key_cannot_be_revoked(postgres: TestPostgres) -> None:
    """An id of another kind is refused, an unknown one is not found."""
    with pytest.raises(ValueError, match="key_"):
        await revoke_key(postgres.url(), "pay_1")
    assert await revoke_key(postgres.url(), "key_" + "0" * 32) is None
