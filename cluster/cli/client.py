"""Talk to a gateway that runs, in the few ways that commands need."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from cluster.settings import LOOPBACK_HOSTS

_TIMEOUT_S = 30.0
_READY_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold a status and a decoded body."""

    status: int
    body: Any


def is_ready(url: str) -> bool:
    """Tell whether the gateway says that it can take payments."""
    try:
        return request(f"{url}/health/ready", timeout_s=_READY_TIMEOUT_S).status == 200
    except OSError:
        return False


def request(
    url: str, *, key: str | None = None, body: dict[str, Any] | None = None, timeout_s: float = _TIMEOUT_S
) -> Answer:
    """Send a GET, or a POST where there is a body, with an idempotency key of its own; raise OSError."""
    headers = {"Content-Type": "application/json"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    if body is not None:
        headers["Idempotency-Key"] = str(uuid.uuid4())
    data = None if body is None else json.dumps(body).encode()
    message = urllib.request.Request(url, data, headers)
    try:
        return _ask(message, timeout_s)
    except http.client.HTTPException as broken:
        # A connection that ends within an answer is no OSError there, and is one for whoever asks.
        raise ConnectionError(f"the answer broke off: {broken!r}") from broken


def _ask(message: urllib.request.Request, timeout_s: float) -> Answer:
    try:
        with urllib.request.urlopen(message, timeout=timeout_s, context=tls_context(message.full_url)) as response:
            return Answer(response.status, _decode(response.read()))
    except urllib.error.HTTPError as error:
        # An answer like any other: a decline is a 402.
        with error:
            return Answer(error.code, _decode(error.read()))


def tls_context(url: str) -> ssl.SSLContext:
    """Return how to verify the gateway's certificate: on loopback not at all, for no certificate names that address.

    Elsewhere by the authorities that this machine trusts; those of a file instead where SSL_CERT_FILE names one, as
    for one of your own.
    """
    context = ssl.create_default_context()
    if urlsplit(url).hostname in LOOPBACK_HOSTS:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _decode(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
