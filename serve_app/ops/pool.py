"""The database's connections for operators: who has how many, and maintenance windows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from actors.pool.client import PoolManagerClient
from actors.pool.messages import PoolState
from actors.pool.usage import Figures
from actors.runtime.errors import ActorError
from serve_app.http.operation import Call, Operation
from serve_app.http.response import Response, json_response
from serve_app.merchants.secrets import Scope
from serve_app.problems import Code, Problem

_PATH = "/ops/api/database/pool"
_TAG = "Operations"
_WINDOW_MAX_S = 24 * 3600


class PoolLease(BaseModel):
    """What one process has."""

    process: str
    size: int = Field(description="Connections that it may have.")
    held: int = Field(description="Connections that it may have open: more than its size while it closes some.")
    in_use: int | None = Field(description="As it told within the last seconds; null: it has not yet.")
    idle: int | None
    waiting: int | None
    utilisation: float | None


class PoolWindow(BaseModel):
    """A maintenance window that is open."""

    ends_at: datetime
    reason: str


class PoolCluster(BaseModel):
    """A cluster on the database."""

    name: str = Field(description="What the names of its connections begin with.")
    share: int = Field(description="Connections that it may have.")
    heard_s_ago: float = Field(description="Since when it was not heard of, by the database's clock.")
    this: bool = Field(description="Whether it is the one that answers.")


class PoolView(BaseModel):
    """The budget of connections and who has them."""

    budget: int = Field(description="Connections that may be leased now.")
    configured: int
    server_room: int | None = Field(description="Sessions that the server has room for; null while that is not known.")
    free: int
    waiting: int = Field(description="Processes that have no connection and want one.")
    window: PoolWindow | None
    leases: list[PoolLease]
    clusters: list[PoolCluster] = Field(
        description="All that share the database, the oldest first. While there are several nothing is cached."
    )


class OpenWindow(BaseModel):
    """For how long, and what is left to the gateway meanwhile."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    connections: int = Field(ge=0, le=10_000, strict=True, description="0: work is held or refused with Retry-After.")
    seconds: int = Field(ge=1, le=_WINDOW_MAX_S, strict=True)
    reason: str = Field(min_length=1, max_length=200)


class CloseWindows(BaseModel):
    """End what was opened by hand."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PoolEndpoints:
    """Shows the connections, and opens and ends maintenance windows."""

    def __init__(self, manager: PoolManagerClient) -> None:
        self._manager = manager

    def operations(self) -> Sequence[Operation]:
        """Return the operations of this slice."""
        admin = Scope.ADMIN.value
        answers = {200: PoolView}
        problems = ("conflict", "overloaded")
        return (
            Operation(
                "GET", _PATH, self.show, "See who has the database's connections", _TAG, admin,
                answers=answers, problems=problems,
            ),
            Operation(
                "POST", f"{_PATH}/window", self.open, "Open a maintenance window", _TAG, admin,
                request=OpenWindow, answers=answers, problems=problems, sensitive=True,
                example={"connections": 5, "seconds": 600, "reason": "minor upgrade"},
            ),
            Operation(
                "POST", f"{_PATH}/window/close", self.close, "End the maintenance windows opened by hand", _TAG, admin,
                request=CloseWindows, answers=answers, problems=problems, sensitive=True, example={},
            ),
        )  # fmt: skip

    async def show(self, _: Call) -> Response:
        """Show the state."""
        try:
            return json_response(200, view(await self._manager.state()))
        except ActorError as fault:
            raise _problem(fault) from None

    async def open(self, call: Call) -> Response:
        """Open a window; processes come down within a second or two, as their statements end."""
        window = call.body_as(OpenWindow)
        try:
            state = await self._manager.open_window(window.connections, window.seconds, window.reason)
        except ValueError as wrong:
            raise Problem(Code.CONFLICT, f"{wrong}.") from None
        except ActorError as fault:
            raise _problem(fault) from None
        return json_response(200, view(state))

    async def close(self, _: Call) -> Response:
        """End the windows."""
        try:
            return json_response(200, view(await self._manager.close_windows()))
        except ActorError as fault:
            raise _problem(fault) from None


def view(state: PoolState) -> dict[str, object]:
    """Return what is shown of a state."""
    window = None
    if state.window_ends_at is not None:
        window = {"ends_at": state.window_ends_at.isoformat(), "reason": state.window_reason}
    return {
        "budget": state.budget.total,
        "configured": state.configured,
        "server_room": state.server_max,
        "free": state.budget.free,
        "waiting": state.budget.waiting,
        "window": window,
        "leases": [
            {"process": holder, "size": size, "held": held, **_now(state.figures.get(holder))}
            for _, holder, size, held in state.budget.leases
        ],
        "clusters": [
            {"name": each.name, "share": each.share, "heard_s_ago": round(each.silent_s, 1), "this": each.is_own}
            for each in state.clusters
        ],
    }


def _now(figures: Figures | None) -> dict[str, object]:
    names = ("in_use", "idle", "waiting", "utilisation")
    return {name: getattr(figures, name) if figures is not None else None for name in names}


def _problem(fault: ActorError) -> Problem:
    return Problem(Code.OVERLOADED, f"The state of the pool is not known now: {fault}.", retry_after_s=1)
