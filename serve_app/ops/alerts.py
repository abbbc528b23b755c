"""Alerts for operators: what fires and why, and a hand that silences it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from actors.monitor.alerts import AlertView
from actors.monitor.client import MonitorClient
from actors.monitor.silences import Silence, TooManySilences
from actors.runtime.errors import ActorError
from serve_app.domain.cards import contains_card_number
from serve_app.domain.ids import Prefix, public_id
from serve_app.http.operation import Call, Operation
from serve_app.http.response import Response, empty_response, json_response
from serve_app.merchants.secrets import Scope
from serve_app.ops.overview import WhatChanged, monitor_problem, shown_change
from serve_app.problems import Code, Problem, hidden_name, invalid

_PATH = "/ops/api/alerts"
_TAG = "Operations"
_LABELS_MAX = 10
_MINUTES_MAX = 7 * 24 * 60
_Text = Annotated[str, Field(min_length=1, max_length=200)]


class ShownAlert(BaseModel):
    """One alert."""

    id: str
    name: str
    labels: dict[str, str]
    severity: Literal["page", "ticket"]
    state: Literal["pending", "firing", "resolved"]
    since: Annotated[datetime, Field(description="When it came into this state.")]
    value: float
    threshold: float
    reason: str
    changes: Annotated[list[WhatChanged], Field(description="What changed in the ten minutes before, newest last.")]
    silenced_until: datetime | None


class ShownSilence(BaseModel):
    """An alert that nobody is told of for a while."""

    id: str
    alert: str
    labels: dict[str, str]
    until: datetime
    by: Annotated[str, Field(description="The API key of the operator.")]
    why: str


class Alerts(BaseModel):
    """All of them: the firing first, then the newest."""

    alerts: list[ShownAlert]
    silences: list[ShownSilence]


class NewSilence(BaseModel):
    """Which alert nobody should be told of, for how long and why; `labels` are those that it must have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    alert: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z]+$")]
    labels: Annotated[dict[_Text, _Text], Field(max_length=_LABELS_MAX)] = {}
    minutes: Annotated[int, Field(ge=1, le=_MINUTES_MAX)]
    why: _Text


class OperatorAudit(Protocol):
    """Writes down what operators did."""

    async def note(self, call: Call, action: str, object_id: str, result: str) -> None:
        """Write an entry in the trail of the merchant whose key it was done with. It does not fail: what cannot be
        written is in the log."""
        ...


class AlertEndpoints:
    """Shows and silences alerts. What is silent is judged and shown, and delivered to nobody."""

    def __init__(self, monitor: MonitorClient, audit: OperatorAudit) -> None:
        self._monitor = monitor
        self._audit = audit

    def operations(self) -> Sequence[Operation]:
        """Return the operations of this slice."""
        admin, silences = Scope.ADMIN.value, f"{_PATH}/silences"
        return (
            Operation(
                "GET", _PATH, self.show, "See the alerts", _TAG, admin,
                answers={200: Alerts}, problems=("overloaded",),
            ),
            Operation(
                "POST", silences, self.silence, "Silence an alert", _TAG, admin,
                request=NewSilence, answers={201: ShownSilence}, problems=("overloaded", "conflict"), sensitive=True,
                example={"alert": "ProcessorFailing", "minutes": 60, "why": "The processor announced maintenance."},
            ),
            Operation(
                "DELETE", f"{silences}/{{silence_id}}", self.unsilence, "End a silence", _TAG, admin,
                answers={204: None}, problems=("overloaded", "not_found"), sensitive=True,
            ),
        )  # fmt: skip

    async def show(self, _: Call) -> Response:
        """Show all of them."""
        try:
            view = await self._monitor.alerts()
        except ActorError as away:
            raise monitor_problem(away) from None
        alerts, silences = map(_shown, view.alerts), map(_shown_silence, view.silences)
        return json_response(200, {"alerts": list(alerts), "silences": list(silences)})

    async def silence(self, call: Call) -> Response:
        """Silence one, and show that."""
        wanted = call.body_as(NewSilence)
        for field, texts in (("why", (wanted.why,)), ("labels", (*wanted.labels, *wanted.labels.values()))):
            if any(map(contains_card_number, texts)):
                raise invalid([(field, "must not contain a card number")])
        by = public_id(Prefix.API_KEY, call.known_caller.key_id)
        labels = tuple(sorted(wanted.labels.items()))
        try:
            silence = await self._monitor.silence(wanted.alert, wanted.minutes * 60.0, by, wanted.why, labels)
        except TooManySilences as full:
            raise Problem(Code.CONFLICT, f"{full}.") from None
        except ActorError as away:
            await self._audit.note(call, "alert.silence", wanted.alert, "failed")
            raise monitor_problem(away) from None
        await self._audit.note(call, "alert.silence", f"{wanted.alert} {silence.id}", "succeeded")
        return json_response(201, _shown_silence(silence))

    async def unsilence(self, call: Call) -> Response:
        """End one."""
        silence_id = call.path_parameters["silence_id"]
        try:
            found = await self._monitor.unsilence(silence_id)
        except ActorError as away:
            # It may have been done: whoever asks again may then be told that there is none.
            await self._audit.note(call, "alert.unsilence", silence_id, "failed")
            raise monitor_problem(away) from None
        if not found:
            raise Problem(Code.NOT_FOUND, f"There is no silence {hidden_name(silence_id)}.")
        await self._audit.note(call, "alert.unsilence", silence_id, "succeeded")
        return empty_response()


def _shown(alert: AlertView) -> dict[str, Any]:
    return {
        "id": alert.id,
        "name": alert.name,
        "labels": dict(alert.labels),
        "severity": alert.severity.value,
        "state": alert.state.value,
        "since": alert.since,
        "value": alert.value,
        "threshold": alert.threshold,
        "reason": alert.reason,
        "changes": [shown_change(each) for each in alert.changes],
        "silenced_until": alert.silenced_until,
    }


def _shown_silence(silence: Silence) -> dict[str, Any]:
    return {**silence._asdict(), "labels": dict(silence.labels)}
