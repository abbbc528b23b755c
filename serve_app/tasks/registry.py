"""The functions that the scheduler runs for the gateway: each is in a module of its own, and registers itself here.

What they work with is a type to them, no import: the scheduler knows the functions, and has no services.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.scheduler.registry import Registry

if TYPE_CHECKING:
    from serve_app.services import Services

registry: Registry[Services] = Registry()

# Below the registry, which they import.
from serve_app.tasks import (  # noqa: E402
    check_ledger,
    clean_up_keys,
    deliver_webhook,
    expire_authorizations,
    maintain_database,
    redeliver_webhooks,
    resolve_attempts,
)

__all__ = [
    "check_ledger",
    "clean_up_keys",
    "deliver_webhook",
    "expire_authorizations",
    "maintain_database",
    "redeliver_webhooks",
    "registry",
    "resolve_attempts",
]
