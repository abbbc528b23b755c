"""The functions that the scheduler runs for the gateway."""

from __future__ import annotations

from actors.scheduler.registry import Registry
from serve_app.services import Services

registry: Registry[Services] = Registry()

from serve_app.tasks import check_ledger, clean_up_keys, expire_authorizations  # noqa: E402, F401 - they register
