"""The circuit breakers for operators: what is left alone, what every process knows of it, and a hand on the switch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from actors.breaker.client import BreakerBoardClient
from actors.breaker.messages import BreakerView
from actors.runtime.breaker import State
from actors.runtime.errors import ActorError
from serve_app.domain.ids import Prefix, public_id
from serve_app.http.operation import Call, Operation
from serve_app.http.response import Response, json_response
from serve_app.merchants.secrets import Scope
from serve_app.problems import Code, Problem, hidden_name

_PATH = "/ops/api/breakers"
_TAG = "Operations"

BreakerState = Literal["closed", "open", "half_open"]


class BreakerProcess(BaseModel):
    """The breaker as one process has it."""

    process: str
    state: BreakerState


class CircuitBreaker(BaseModel):
    """One breaker of the cluster."""

    name: str = Field(description="`processor:<name>`, `postgresql` or `redis`.")
    state: BreakerState
    forced: Annotated[Literal["open", "closed"] | None, Field(description="What an operator holds it in.")]
    forced_by: Annotated[str | None, Field(description="The API key of that operator.")]
    forced_at: datetime | None
    since: Annotated[datetime, Field(description="When it came into this state.")]
    calls: Annotated[int, Field(description="Calls of the last ten seconds, in all processes.")]
    failures: Annotated[int, Field(description="Those of them that failed.")]
    failure_rate: Annotated[float | None, Field(description="Their share; null without calls.")]
    retry_after_s: Annotated[float, Field(description="How long nothing is let through.")]
    processes: list[BreakerProcess]


class CircuitBreakers(BaseModel):
    """All breakers, by name."""

    data: list[CircuitBreaker]


class ForceBreaker(BaseModel):
    """What to hold the breaker in; `auto` lets it decide by itself again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: Literal["open", "closed", "auto"]


class BreakerEndpoints:
    """Shows and forces circuit breakers."""

    def __init__(self, board: BreakerBoardClient) -> None:
        self._board = board

    def operations(self) -> Sequence[Operation]:
        """Return the operations of this slice."""
        admin = Scope.ADMIN.value
        return (
            Operation(
                "GET", _PATH, self.show, "See the circuit breakers", _TAG, admin,
                answers={200: CircuitBreakers}, problems=("overloaded",),
            ),
            Operation(
                "POST", f"{_PATH}/{{name}}/force", self.force, "Hold a circuit breaker open or closed", _TAG, admin,
                request=ForceBreaker, answers={200: CircuitBreaker}, problems=("not_found", "overloaded"),
                example={"state": "open"}, sensitive=True,
            ),
        )  # fmt: skip

    async def show(self, _: Call) -> Response:
        """Show all of them."""
        return json_response(200, {"data": [_shown(view) for view in await self._views()]})

    async def force(self, call: Call) -> Response:
        """Force one, and show it; every process obeys within half a second."""
        wanted = call.body_as(ForceBreaker).state
        name = call.path_parameters["name"]
        by = public_id(Prefix.API_KEY, call.known_caller.key_id)
        try:
            known = await self._board.force(name, None if wanted == "auto" else State(wanted), by)
        except ActorError as fault:
            raise _problem(fault) from None
        found = next((view for view in await self._views() if view.name == name), None)
        if not known or found is None:
            raise Problem(Code.NOT_FOUND, f"There is no circuit breaker {hidden_name(name)}.")
        return json_response(200, _shown(found))

    async def _views(self) -> Sequence[BreakerView]:
        try:
            return await self._board.views()
        except ActorError as fault:
            raise _problem(fault) from None


def _shown(view: BreakerView) -> dict[str, Any]:
    forced = view.forced
    return {
        "name": view.name,
        "state": view.state.value,
        "forced": forced.state.value if forced is not None else None,
        "forced_by": forced.by if forced is not None else None,
        "forced_at": forced.at if forced is not None else None,
        "since": view.since,
        "calls": view.calls,
        "failures": view.failures,
        "failure_rate": round(view.failures / view.calls, 4) if view.calls else None,
        "retry_after_s": round(view.retry_after_s, 3),
        "processes": [{"process": each.process, "state": each.state.value} for each in view.processes],
    }


def _problem(fault: ActorError) -> Problem:
    detail = f"The circuit breakers of the cluster are not known now: {fault}. Each process goes by its own."
    return Problem(Code.OVERLOADED, detail, retry_after_s=1)
