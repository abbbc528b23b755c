"""What the gateway's processes hear of the settings."""

from __future__ import annotations

from cluster.composition import compose
from cluster.settings import Settings


def test_limits_and_replicas_reach_the_gateway() -> None:
    """The static share of a limit depends on both."""
    settings = Settings(
        database_url="postgresql://app@db/x",
        api_key_pepper="p" * 32,
        http_replicas=3,
        rate_limit_per_minute=70,
        rate_limit_unauthenticated_per_minute=0,
    )
    config = compose(settings)
    assert (config.replicas, config.rate_limit_per_minute) == (3, 70)
    assert config.rate_limit_unauthenticated_per_minute == 0
