"""The key of a trial ends by itself, should nobody be left to revoke it."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from unittest.mock import AsyncMock

import pytest

from cluster.settings import Settings
from cluster.trial import key as trial
from serve_app.merchants import administration


async def test_a_key_without_a_rate_limit_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within hours, also where revoking fails: whoever was killed half-way leaves none for good."""
    create = AsyncMock(spec=administration.create_key, return_value=SimpleNamespace(api_key="sk_test_x", id="key_x"))
    monkeypatch.setattr(trial, "create_key", create)
    monkeypatch.setattr(trial, "revoke_key", AsyncMock(side_effect=OSError("away")))
    settings = Settings(database_url="postgresql://h/d", api_key_pepper="p" * 64)
    with pytest.raises(OSError, match="away"):
        async with trial.trial_key(settings) as api_key:
            assert api_key == "sk_test_x"
    assert create.await_args is not None
    expires_at = create.await_args.kwargs["expires_at"]
    assert create.await_args.kwargs["livemode"] is False
    assert datetime.now(UTC) < expires_at <= datetime.now(UTC) + trial.LASTS
