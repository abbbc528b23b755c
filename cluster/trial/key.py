"""A test key without a rate limit, for as long as a trial lasts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from cluster.settings import Settings
from serve_app.merchants.administration import create_key, revoke_key
from serve_app.merchants.secrets import Scope

MERCHANT = "EasyPay trials"
"""A merchant of their own, so that trials are in nobody else's lists, limits or settlements."""

LASTS = timedelta(hours=3)
"""Longer than any trial: a drill of all faults takes two hours where nothing comes back and it is never quiet."""


@asynccontextmanager
async def trial_key(settings: Settings) -> AsyncIterator[str]:
    """Make a key of test mode, and revoke it at the end.

    Where that cannot be done, for the command is killed or the database has not come back, the key ends by itself.
    """
    settings.require("database_url", "api_key_pepper")
    assert settings.owner_url is not None
    assert settings.api_key_pepper is not None
    url = settings.owner_url.get_secret_value()
    pepper = settings.api_key_pepper.get_secret_value().encode()
    scopes = [Scope.PAYMENTS_READ.value, Scope.PAYMENTS_WRITE.value]
    key = await create_key(
        url,
        pepper,
        merchant=MERCHANT,
        scopes=scopes,
        rate_limit_per_minute=0,
        livemode=False,
        expires_at=datetime.now(UTC) + LASTS,
    )
    try:
        yield key.api_key
    finally:
        await revoke_key(url, key.id)
