"""What operators can do, and what the audit trail calls it."""

from __future__ import annotations

from collections.abc import Mapping

from serve_app.audit.operators import Named
from serve_app.http.operation import Call
from serve_app.ops.breakers import ForceBreaker
from serve_app.ops.cache import InvalidateCache, WarmCache
from serve_app.ops.cache_shards import ChangeCacheShards
from serve_app.ops.pool import OpenWindow


def _forced(call: Call) -> tuple[str, str]:
    return f"breaker.force_{call.body_as(ForceBreaker).state}", call.path_parameters["name"]


def _invalidated(call: Call) -> tuple[str, str]:
    body = call.body_as(InvalidateCache)
    return "cache.invalidate", ",".join([*body.models, *body.merchants])


def _warmed(call: Call) -> tuple[str, str]:
    return "cache.warm", call.body_as(WarmCache).merchant


def _resized(call: Call) -> tuple[str, str]:
    return "cache.resize", f"shards:{call.body_as(ChangeCacheShards).count}"


def _window_opened(call: Call) -> tuple[str, str]:
    body = call.body_as(OpenWindow)
    return "database.open_window", f"connections:{body.connections},seconds:{body.seconds}"


def _window_closed(_: Call) -> tuple[str, str]:
    return "database.close_window", "pool"


def _redriven(call: Call) -> tuple[str, str]:
    return "task.redrive", call.path_parameters["task_id"]


def _cancelled(call: Call) -> tuple[str, str]:
    return "task.cancel", call.path_parameters["task_id"]


def _signed_in(_: Call) -> tuple[str, str]:
    return "operator.sign_in", "session"


def _signed_out(_: Call) -> tuple[str, str]:
    return "operator.sign_out", "session"


ACTIONS: Mapping[str, Named] = {
    "POST /ops/api/breakers/{name}/force": _forced,
    "POST /ops/api/cache/invalidate": _invalidated,
    "POST /ops/api/cache/warm": _warmed,
    "POST /ops/api/cache/shards": _resized,
    "POST /ops/api/database/pool/window": _window_opened,
    "POST /ops/api/database/pool/window/close": _window_closed,
    "POST /ops/api/tasks/{task_id}/retry": _redriven,
    "POST /ops/api/tasks/{task_id}/cancel": _cancelled,
    "POST /ops/session": _signed_in,
    "DELETE /ops/session": _signed_out,
}
"""By the operation's name. Alerts and webhook deliveries write their own entries, with what they change."""
