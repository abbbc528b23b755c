"""Merchants of their own, made by the gateway's command line."""

from __future__ import annotations

import json
import subprocess

from tests.bench.failure import BenchFailed
from tests.bench.gateway import Gateway, easypay_command
from tests.bench.overload.stream import Merchant

TIMEOUT_S = 60


def main_merchant(gateway: Gateway) -> Merchant:
    """Return the merchant that every gateway has."""
    return Merchant(gateway.url.rstrip("/"), gateway.api_key)


def new_merchant(gateway: Gateway, name: str, *, rate_limit_per_minute: int | None = None) -> Merchant:
    """Make a merchant with a key, and with a rate limit other than the gateway's where that is given."""
    command = [*easypay_command(), "keys", "create", "--merchant", name, "--json", "--data-dir", gateway.data_dir]
    if rate_limit_per_minute is not None:
        command += ["--rate-limit", str(rate_limit_per_minute)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    if result.returncode != 0:
        raise BenchFailed(f"no key for {name}: {result.stderr[-1000:] or result.stdout[-1000:]}")
    return Merchant(gateway.url.rstrip("/"), json.loads(result.stdout)["api_key"])
