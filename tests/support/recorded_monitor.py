"""What the monitor and the actors of a gateway say, as it was recorded, for a gateway that runs without Ray.

The documents have the form that the operations of the API promise; a test holds those that exist today against their
models.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict

from serve_app.http.operation import Call, Operation
from serve_app.http.response import Response, empty_response, json_response
from serve_app.ops.breakers import ForceBreaker
from serve_app.ops.cache import InvalidateCache
from serve_app.problems import Code, Problem

_ADMIN = "admin"
_HISTORY_S = 120
_BUCKETS_MS = (1, 1.5, 2.2, 3.3, 5, 7.5, 11, 17, 25, 38, 57, 85, 130, 190, 290, 430)


class NewSilence(BaseModel):
    """What an operator sends to silence an alert."""

    model_config = ConfigDict(extra="forbid")

    alert: str
    labels: dict[str, str] = {}
    minutes: int
    why: str


class RecordedMonitor:
    """Answers in place of the monitor and of what needs Ray; can be away, and hears what operators do."""

    def __init__(self) -> None:
        self.is_away = False
        self.overviews_read = 0
        self.done: list[tuple[str, Any]] = []
        self._silences: list[dict[str, Any]] = []
        self._forced: dict[str, str | None] = {}

    def operations(self) -> Sequence[Operation]:
        """Return the operations by the names that the gateway has."""
        tag = "Operations"
        return (
            Operation("GET", "/ops/api/overview", self.overview, "Overview", tag, _ADMIN),
            Operation("GET", "/ops/api/alerts", self.alerts, "Alerts", tag, _ADMIN),
            Operation(
                "POST", "/ops/api/alerts/silences", self.silence, "Silence", tag, _ADMIN, request=NewSilence,
                example={"alert": "a", "minutes": 1, "why": "b"},
            ),
            Operation("DELETE", "/ops/api/alerts/silences/{silence_id}", self.unsilence, "End", tag, _ADMIN),
            Operation("GET", "/ops/api/breakers", self.breakers, "Breakers", tag, _ADMIN),
            Operation(
                "POST", "/ops/api/breakers/{name}/force", self.force, "Force", tag, _ADMIN, request=ForceBreaker,
                example={"state": "open"},
            ),
            Operation("GET", "/ops/api/cache", self.cache, "Cache", tag, _ADMIN),
            Operation(
                "POST", "/ops/api/cache/invalidate", self.invalidate, "Invalidate", tag, _ADMIN,
                request=InvalidateCache, example={"models": ["payment"]},
            ),
            Operation("GET", "/ops/api/database/pool", self.pool, "Pool", tag, _ADMIN),
        )  # fmt: skip

    async def overview(self, _: Call) -> Response:
        """Show the overview of this moment."""
        self._must_be_there()
        self.overviews_read += 1
        return json_response(200, example_overview(datetime.now(UTC)))

    async def alerts(self, _: Call) -> Response:
        """Show the alerts."""
        self._must_be_there()
        silenced = {silence["alert"]: silence["until"] for silence in self._silences}
        return json_response(200, {"alerts": example_alerts(silenced), "silences": self._silences})

    async def silence(self, call: Call) -> Response:
        """Silence an alert."""
        wanted = call.body_as(NewSilence)
        until = (datetime.now(UTC) + timedelta(minutes=wanted.minutes)).isoformat()
        by = f"key_{call.known_caller.key_id.hex}"
        made = {"id": f"sil_{len(self.done)}", "alert": wanted.alert, "until": until, "by": by, "why": wanted.why}
        self._silences.append(made)
        self.done.append(("silence", wanted.alert))
        return json_response(201, made)

    async def unsilence(self, call: Call) -> Response:
        """End a silence."""
        ended = call.path_parameters["silence_id"]
        self._silences = [silence for silence in self._silences if silence["id"] != ended]
        self.done.append(("unsilence", ended))
        return empty_response()

    async def breakers(self, _: Call) -> Response:
        """Show the breakers."""
        return json_response(200, {"data": example_breakers(self._forced)})

    async def force(self, call: Call) -> Response:
        """Force one."""
        name, state = call.path_parameters["name"], call.body_as(ForceBreaker).state
        self._forced[name] = None if state == "auto" else state
        self.done.append(("force", (name, state)))
        return json_response(200, next(each for each in example_breakers(self._forced) if each["name"] == name))

    async def cache(self, _: Call) -> Response:
        """Show the cache."""
        return json_response(200, EXAMPLE_CACHE)

    async def invalidate(self, call: Call) -> Response:
        """Forget."""
        self.done.append(("invalidate", call.body_as(InvalidateCache).models))
        return json_response(200, {"dropped": 1234})

    async def pool(self, _: Call) -> Response:
        """Show the connections."""
        return json_response(200, EXAMPLE_POOL)

    def _must_be_there(self) -> None:
        if self.is_away:
            raise Problem(Code.OVERLOADED, "It does not answer.", retry_after_s=1)


def example_overview(now: datetime) -> dict[str, Any]:
    """Return an overview of a gateway with some 400 requests a second and a slow processor for a while."""
    moments = [now.replace(microsecond=0) - timedelta(seconds=back) for back in range(_HISTORY_S - 1, -1, -1)]
    history = [_second(moment) for moment in moments]
    last = {name: history[-1][name] for name in ("requests_per_s", "payments_per_s", "error_ratio", "p50_ms", "p99_ms")}
    window = {**last, "errors_per_s": last["requests_per_s"] * last["error_ratio"], "p95_ms": last["p99_ms"] * 0.6}
    return {
        "at": now.isoformat(),
        "level": {"level": "fair", "reason": "response time: 99 % within 96 ms, good is 50 ms"},
        "levels": [
            {"metric": "response_time", "value": 96, "unit": "ms", "level": "fair", "reason": "99 % within 96 ms"},
            {"metric": "error_rate", "value": 0.001, "unit": "ratio", "level": "excellent", "reason": "0.1 %"},
        ],
        "windows": {"1s": window, "10s": window, "1m": window},
        "history": history,
        "waits": [
            {"stage": "admission", "p50_ms": 0.2, "p99_ms": 4.1, "share": 0.06},
            {"stage": "begin", "p50_ms": 1.9, "p99_ms": 9.0, "share": 0.16},
            {"stage": "processor", "p50_ms": 8.2, "p99_ms": 71, "share": 0.61},
            {"stage": "conclude", "p50_ms": 2.1, "p99_ms": 11, "share": 0.17},
        ],
        "resources": [
            {"resource": "queue", "utilisation": 0.12, "threshold": 0.8, "limit": 1000},
            {"resource": "pool", "utilisation": 0.44, "threshold": 0.8, "limit": 50},
            {"resource": "cache", "utilisation": 0.71, "threshold": 0.8},
            {"resource": "cpu", "utilisation": 0.83, "threshold": 0.8},
        ],
        "payments": [{"status": "captured", "currency": "EUR", "per_s": 181.0, "amount_minor_per_s": 912_000}],
        "trends": [{"metric": "arrival_rate", "direction": "rising", "slope_per_minute": 14.0, "confidence": 0.97}],
        "forecast": {
            "arrival_per_s_in_60s": 431.0,
            "interval": [398.0, 470.0],
            "saturates_in_s": 740,
            "resource": "cpu",
        },
        "recommendations": [
            {
                "change": "Run a third replica",
                "why": "the processor of this machine is the bottleneck",
                "expected_gain": "p99 below 50 ms",
                "setting": "HTTP_REPLICAS=3",
            }
        ],
        "changes": [
            {
                "at": (now - timedelta(seconds=70)).isoformat(),
                "kind": "breaker",
                "what": "processor:acquirer half open",
            },
            {"at": (now - timedelta(minutes=9)).isoformat(), "kind": "deploy", "what": "version 0.1.0"},
        ],
        "processes": [{"process": f"gateway-{number}", "node": "n1", "heard_s_ago": 0.2} for number in range(2)],
    }


def _second(moment: datetime) -> dict[str, Any]:
    """Return a second, the same whenever it is asked for."""
    second = int(moment.timestamp())
    draw = random.Random(second)
    rate = 380 + 60 * math.sin(second / 19) + draw.uniform(-25, 25)
    slow = 30 <= second % _HISTORY_S < 60
    middle = 22.0 if slow else 9.0
    counts = [
        [upper, round(rate * 0.35 * math.exp(-((math.log(upper / middle)) ** 2) / 0.9) * draw.uniform(0.7, 1.2))]
        for upper in _BUCKETS_MS
    ]
    return {
        "at": moment.isoformat(),
        "requests_per_s": round(rate, 1),
        "payments_per_s": round(rate * 0.47, 1),
        "error_ratio": 0.004 if slow else 0.001,
        "p50_ms": round(middle * draw.uniform(0.9, 1.1), 2),
        "p99_ms": round(middle * draw.uniform(6, 9), 1),
        "latency": [pair for pair in counts if pair[1]],
    }


def example_alerts(silenced: dict[str, str]) -> list[dict[str, Any]]:
    """Return an alert that fires and one that is over."""
    now = datetime.now(UTC).replace(microsecond=0)
    alerts: list[dict[str, Any]] = [
        {
            "id": "alr_1", "name": "ResourceUtilisationHigh", "labels": {"resource": "cpu"}, "severity": "ticket",
            "state": "firing", "since": "2026-01-01T00:00:00+00:00", "value": 0.83, "threshold": 0.8,
            "reason": "cpu is at 83 %, above 80 % for 30 s",
            "changes": [{"at": now.isoformat(), "kind": "scale", "what": "a replica ended"}],
        },
        {
            "id": "alr_2", "name": "BreakerOpen", "labels": {"breaker": "processor:acquirer"}, "severity": "page",
            "state": "resolved", "since": "2026-01-01T00:00:00+00:00", "value": 0, "threshold": 1,
            "reason": "the processor answers again", "changes": [],
        },
    ]  # fmt: skip
    return [{**alert, "silenced_until": silenced.get(alert["name"])} for alert in alerts]


def example_breakers(forced: dict[str, str | None]) -> list[dict[str, Any]]:
    """Return three breakers."""
    return [
        {
            "name": name, "state": forced.get(name) or state, "forced": forced.get(name), "forced_by": None,
            "forced_at": None, "since": "2026-01-01T00:00:00Z", "calls": calls, "failures": failures,
            "failure_rate": failures / calls, "retry_after_s": 0.0,
            "processes": [{"process": "gateway-0", "state": state}],
        }
        for name, state, calls, failures in (
            ("postgresql", "closed", 8120, 0),
            ("processor:acquirer", "half_open", 1790, 61),
            ("redis", "closed", 3300, 1),
        )
    ]  # fmt: skip


_LATENCY = {"count": 9000, "p50_s": 0.0007, "p99_s": 0.0041}
_NO_LATENCY = {"count": 0, "p50_s": None, "p99_s": None}


def _model(reads: int, hits: int) -> dict[str, Any]:
    return {
        "near_hits": hits // 2, "joined": 12, "shard_hits": hits // 2, "negative_hits": 0, "waited": 3,
        "loads": reads - hits, "refreshes": 4, "updates": 900, "stale_refusals": 0, "near_evictions": 0,
        "bypasses": {}, "reads": reads, "hit_rate": round(hits / reads, 4),
        "latency": {"shard": _LATENCY, "redis": _LATENCY, "database": _LATENCY, "begin": _NO_LATENCY},
    }  # fmt: skip


EXAMPLE_CACHE = {
    "shards": [
        {
            "name": "cache-shard-0",
            "ready": True,
            "entries": 48_210,
            "bytes_used": 31_457_280,
            "bound_bytes": 67_108_864,
        },
        {
            "name": "cache-shard-1",
            "ready": True,
            "entries": 47_903,
            "bytes_used": 30_408_704,
            "bound_bytes": 67_108_864,
        },
    ],
    "models": {"payment": _model(120_000, 114_800), "api_key": _model(64_000, 63_900)},
}
EXAMPLE_POOL = {
    "budget": 50, "configured": 50, "server_room": 90, "free": 18, "waiting": 0, "window": None,
    "leases": [
        {
            "process": f"gateway-{number}", "size": 16, "held": 16, "in_use": 6 + number, "idle": 9, "waiting": 0,
            "utilisation": 0.38 + number / 20,
        }
        for number in range(2)
    ],
    "clusters": [{"name": "easypay-1f2e3d4c", "share": 50, "heard_s_ago": 0.4, "this": True}],
}  # fmt: skip
