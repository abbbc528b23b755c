"""What operators and Prometheus see of the breakers, and what operators may do with them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from unittest.mock import create_autospec
from uuid import UUID

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import ValidationError

from actors.breaker.client import BreakerBoardClient
from actors.breaker.messages import BreakerView, Forced, ProcessView
from actors.runtime.breaker import State
from actors.runtime.errors import Unavailable
from serve_app.http.operation import Call
from serve_app.merchants.secrets import Scope
from serve_app.middleware.authentication import Caller
from serve_app.ops.breaker_metrics import breaker_families
from serve_app.ops.breakers import BreakerEndpoints, CircuitBreakers, ForceBreaker
from serve_app.ops.exposition import exposition
from serve_app.problems import Code, Problem

_AT = datetime(2026, 1, 1, tzinfo=UTC)
_PROCESSES = (ProcessView("gateway-1", State.OPEN, 30, 12), ProcessView("gateway-2", State.CLOSED, 10, 0))
_VIEW = BreakerView("processor:simulator", State.OPEN, None, _AT, 0.7512, 3, _PROCESSES)
_FORCED = BreakerView("redis", State.CLOSED, Forced(State.CLOSED, "key_1", _AT), _AT, 0.0, 0, ())


def _call(method: str = "GET", name: str = "", state: str = "open") -> Call:
    call = Call(method, "/ops/api/breakers", {"name": name}, "req_1")
    call.caller = Caller(UUID(int=5), UUID(int=6), False, frozenset({"admin"}), None)
    call.body = ForceBreaker(state=state)
    return call


def _board(*views: BreakerView) -> BreakerBoardClient:
    board: BreakerBoardClient = create_autospec(BreakerBoardClient, instance=True)
    board.views.return_value = views  # type: ignore[attr-defined]
    board.force.side_effect = lambda name, *_: any(view.name == name for view in views)  # type: ignore[attr-defined]
    return board


async def test_every_breaker_is_shown() -> None:
    """With its figures and what each process has; in the form that is documented."""
    answer = json.loads((await BreakerEndpoints(_board(_VIEW, _FORCED)).show(_call())).body)
    CircuitBreakers.model_validate(answer)
    first, second = answer["data"]
    assert first == {
        "name": "processor:simulator",
        "state": "open",
        "forced": None,
        "forced_by": None,
        "forced_at": None,
        "since": "2026-01-01T00:00:00Z",
        "calls": 40,
        "failures": 12,
        "failure_rate": 0.3,
        "retry_after_s": 0.751,
        "processes": [{"process": "gateway-1", "state": "open"}, {"process": "gateway-2", "state": "closed"}],
    }
    assert (second["forced"], second["forced_by"], second["failure_rate"]) == ("closed", "key_1", None)


@pytest.mark.parametrize(("wanted", "state"), [("open", State.OPEN), ("closed", State.CLOSED), ("auto", None)])
async def test_an_operator_forces_one(wanted: str, state: State | None) -> None:
    """The board is told who it was."""
    board = _board(_VIEW)
    answer = await BreakerEndpoints(board).force(_call("POST", _VIEW.name, wanted))
    board.force.assert_called_once_with(_VIEW.name, state, f"key_{UUID(int=5).hex}")  # type: ignore[attr-defined]
    assert answer.status == 200
    assert json.loads(answer.body)["name"] == _VIEW.name


async def test_an_unknown_one_is_not_found() -> None:
    """Nothing is forced."""
    with pytest.raises(Problem) as problem:
        await BreakerEndpoints(_board(_VIEW)).force(_call("POST", "processor:other"))
    assert problem.value.code is Code.NOT_FOUND


@pytest.mark.parametrize("body", ["{}", '{"state": "half_open"}', '{"state": "open", "for": 5}'])
def test_a_wrong_wish_is_told(body: str) -> None:
    """By the field that is wrong."""
    with pytest.raises(ValidationError, match=r"state|for"):
        ForceBreaker.model_validate_json(body)


async def test_a_board_that_is_away_is_told() -> None:
    """503, and that processes go on by themselves."""
    board = _board()
    board.views.side_effect = Unavailable("breakers", "away", 1.0)  # type: ignore[attr-defined]
    with pytest.raises(Problem, match="by its own") as problem:
        await BreakerEndpoints(board).show(_call())
    assert problem.value.code is Code.OVERLOADED


def test_only_operators_may() -> None:
    """And forcing is limited more strictly than looking."""
    show, force = BreakerEndpoints(_board()).operations()
    assert show.scope == force.scope == Scope.ADMIN.value
    assert (show.sensitive, force.sensitive) == (False, True)


def _samples(*views: BreakerView, away: bool = False) -> dict[tuple[str, str], float]:
    text = exposition(breaker_families(None if away else views)).decode()
    return {
        (sample.name.removeprefix("easypay_breaker_"), sample.labels.get("breaker", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_say_what_the_board_says() -> None:
    """States are numbers, openings a counter."""
    samples = _samples(_VIEW, _FORCED)
    assert samples["board_up", ""] == 1
    wanted = {"state": 2, "forced": 0, "window_calls": 40, "window_failures": 12, "disagreeing_processes": 1}
    assert {name: samples[name, _VIEW.name] for name in wanted} == wanted
    assert samples["openings_total", _VIEW.name] == 3
    assert (samples["state", "redis"], samples["forced", "redis"]) == (0, 1)


def test_without_the_board_nothing_is_claimed() -> None:
    """But that it is away."""
    assert _samples(away=True) == {("board_up", ""): 0}
