"""What the gateway's processes hear of the settings."""

from __future__ import annotations

import subprocess
import sys
from base64 import urlsafe_b64encode
from typing import Any

import pytest

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


def test_each_process_has_its_part_of_a_limit_when_there_are_most() -> None:
    """How many there are changes by itself, and a limit is to hold meanwhile."""
    settings = Settings(
        database_url="postgresql://app@db/x", api_key_pepper="p" * 32, http_replicas=2, http_replicas_max=8
    )
    assert compose(settings).replicas == 8


@pytest.mark.parametrize(("proxies", "per_minute"), [(("10.0.0.0/8",), 80), ((), 0)])
def test_addresses_are_counted_only_behind_a_proxy_that_is_trusted(proxies: tuple[str, ...], per_minute: int) -> None:
    """Elsewhere the address may be that of a proxy which forwards for everybody."""
    settings = Settings(
        database_url="postgresql://app@db/x",
        api_key_pepper="p" * 32,
        trusted_proxies=proxies,
        rate_limit_address_per_minute=80,
    )
    assert compose(settings).rate_limit_address_per_minute == per_minute


def test_webhook_secrets_have_a_key_of_their_own() -> None:
    """Not that of the cache, which it is made from; without that there is none, and webhooks are not configured."""
    key = b"k" * 32
    common: dict[str, Any] = {"database_url": "postgresql://app@db/x", "api_key_pepper": "p" * 32}
    config = compose(Settings(**common, sealing_key=urlsafe_b64encode(key).decode(), webhook_allow_loopback=True))
    assert config.webhook_key is not None
    assert len(config.webhook_key) == 32
    assert config.webhook_key != key
    assert config.webhook_allow_loopback
    assert config.webhook_key.hex() not in repr(config)
    assert repr(config.webhook_key) not in repr(config)
    bare = compose(Settings(**common))
    assert (bare.webhook_key, bare.webhook_allow_loopback) == (None, False)


def test_secrets_of_callbacks_go_by_the_names_of_processors() -> None:
    """One without a secret has none, and so takes no callbacks."""
    secret = "whsec_aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg=="
    known: dict[str, Any] = {"database_url": "postgresql://app@db/x", "api_key_pepper": "p" * 32}
    assert compose(Settings(**known)).callback_secrets == {}
    live = Settings(**known, live_processor_url="http://127.0.0.1:1", live_processor_callback_secret=secret)
    assert compose(live).callback_secrets == {"live": secret}
    assert secret not in repr(compose(live))


@pytest.mark.parametrize("module", ["cluster.composition", "cluster.cache_composition"])
def test_actors_without_services_load_none(module: str) -> None:
    """Each of them would start a second later."""
    code = f"import sys, {module}; print('serve_app.services' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
