"""A merchant's client for tests."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from typer.testing import CliRunner

from cluster.cli.app import command_line
from tests.e2e.gateway import RunningGateway

ALL_SCOPES = ("payments:read", "payments:write", "webhooks", "audit")


class Merchant:
    """Calls the API with one key."""

    def __init__(self, url: str, api_key: str, key_id: str = "") -> None:
        self.api_key = api_key
        self.key_id = key_id
        self.http = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=40,
            limits=httpx.Limits(max_connections=200, max_keepalive_connections=200),
        )

    def __enter__(self) -> Merchant:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def pay(self, key: str | None = None, **members: Any) -> httpx.Response:
        """Create a payment of 19.99 USD with tok_visa, changed as asked; `key` is the Idempotency-Key."""
        body = {"amount": 1999, "currency": "USD", "payment_method": "tok_visa", **members}
        return self.post("/v1/payments", body, key)

    def post(self, path: str, body: Any = None, key: str | None = None) -> httpx.Response:
        """POST JSON with an Idempotency-Key (a new one unless given; an empty one leaves it out)."""
        headers = {"Idempotency-Key": key if key is not None else uuid.uuid4().hex}
        if key == "":
            headers = {}
        return self.http.post(path, json=body if body is not None else {}, headers=headers)

    def get(self, path: str, **query: Any) -> httpx.Response:
        """GET with query parameters."""
        return self.http.get(path, params=query)

    def payment(self, payment_id: str) -> dict[str, Any]:
        """Return a payment as it is now."""
        answer = self.get(f"/v1/payments/{payment_id}")
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@contextmanager
def new_merchant(gateway: RunningGateway, *options: str, scopes: tuple[str, ...] = ALL_SCOPES) -> Iterator[Merchant]:
    """Make a merchant with a key of these scopes, and return its client."""
    name = f"merchant {uuid.uuid4().hex[:8]}"
    chosen = [part for scope in scopes for part in ("--scope", scope)]
    words = ("keys", "create", "--merchant", name, *chosen, *options, "--json", "--data-dir", str(gateway.data_dir))
    # In this process: most tests make a merchant, and a program of its own takes longer to start than they last.
    made = CliRunner().invoke(command_line(), words)
    assert made.exit_code == 0, made.output
    key = json.loads(made.stdout)
    with Merchant(gateway.url, key["api_key"], key["id"]) as merchant:
        yield merchant
