"""Errors and messages cross processes by pickle, and arrive as they left."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

import actors.runtime.errors as actor_errors
import serve_app.domain.errors as domain_errors
from actors.breaker.actor import CircuitBreakerActor
from actors.breaker.messages import (
    BreakerView,
    Forced,
    ProcessView,
    Report,
    Ruling,
    Standing,
    Sync,
    SyncAnswer,
)
from actors.monitor.actor import MonitorAggregatorActor
from actors.monitor.relay import MonitorRelayActor
from actors.pool.actor import PoolManagerActor
from actors.runtime.breaker import State
from actors.runtime.errors import ActorError
from actors.scheduler.actor import TaskSchedulerActor
from actors.scheduler.definition import Kind
from actors.scheduler.effects import RunEnd, RunRef
from actors.scheduler.lifecycle import Outcome
from actors.scheduler.messages import FormerOwner, FormerSession, Joined, Order, Reports, Session, Timing
from actors.scheduler.status import SchedulerStatus, WorkerStatus
from actors.scheduler.worker_actor import TaskWorkerActor
from serve_app.domain.errors import DomainError
from serve_app.problems import Code, Problem

_SAMPLES = {"str": "text", "float": 1.5, "int": 7, "str | None": "text", "Exception": ValueError("x")}


def _errors() -> Iterator[Exception]:
    for module, root in ((actor_errors, ActorError), (domain_errors, DomainError)):
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, root) and kind is not root:
                parameters = list(inspect.signature(kind.__init__).parameters.values())[1:]
                yield kind(*(_SAMPLES[str(parameter.annotation)] for parameter in parameters))
    yield FormerOwner(1, 2)
    yield FormerSession()
    yield Problem(Code.CONFLICT, "why", [("field", "wrong")])


def _breaker_messages() -> Iterator[object]:
    ruling = Ruling(True, 1.0, 0.5)
    forced = Forced(State.OPEN, "key_1", datetime(2026, 1, 1, tzinfo=UTC))
    yield Sync("process", "life", (Report("redis", State.OPEN, 2, 1, 3, ruling, True, forced, shared=False),))
    yield SyncAnswer("life", (Standing("redis", 3, ruling, forced, True),))
    processes = (ProcessView("process", State.OPEN, 2, 1),)
    yield BreakerView("redis", State.OPEN, forced, forced.at, 1.0, 4, processes)


@pytest.mark.parametrize("error", list(_errors()), ids=lambda error: type(error).__name__)
def test_an_error_survives_pickling(error: Exception) -> None:
    """Same class, same arguments, same text."""
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.args, str(copy)) == (type(error), error.args, str(error))


@pytest.mark.parametrize(
    "message",
    [SchedulerStatus(1, (0, 0, 2, 0), 3, 4, (WorkerStatus("a", True, 4),), {}), *_breaker_messages()],
)
def test_a_message_survives_pickling(message: object) -> None:
    """A frozen dataclass that is equal to its copy."""
    assert is_dataclass(message)
    assert fields(message)
    assert pickle.loads(pickle.dumps(message)) == message


def test_the_messages_of_a_worker_survive_pickling() -> None:
    """They are tuples, which are equal to their copies, and stay what they are."""
    ref = RunRef(UUID(int=1), UUID(int=2))
    end = RunEnd(ref, Outcome.FAILED, "why", 1.5)
    messages = (
        Order(UUID(int=1), "name", "null", 2, 1.0),
        Joined(Session(1, 2), "life", {Kind.IO: 3}, [ref], [end], 4),
        Reports(5, [end], {UUID(int=1): "{}"}, [Timing("name", Outcome.FAILED, 0.1, 0.2)]),
    )
    copies = pickle.loads(pickle.dumps(messages))
    assert copies == messages
    assert list(map(type, copies)) == list(map(type, messages))


@pytest.mark.parametrize(
    "actor",
    [
        PoolManagerActor,
        TaskSchedulerActor,
        TaskWorkerActor,
        CircuitBreakerActor,
        MonitorAggregatorActor,
        MonitorRelayActor,
    ],
)
def test_an_actor_s_constructor_does_nothing_that_can_fail(actor: type[Any]) -> None:
    """It takes what it is given and calls nothing of the outside: an exception in one makes an actor dead for good."""
    source = inspect.getsource(actor.__init__)
    for call in ("connect", "open(", "await", "ray.get", "environ"):
        assert call not in source
