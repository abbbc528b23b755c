"""What an operation of the API is, declared once: the routes, the checks and the documentation come from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.types import Receive

from serve_app.admission.work import Work
from serve_app.http.response import Answer, Response
from serve_app.middleware.authentication import Caller
from serve_app.problems import Problem

_Model = TypeVar("_Model", bound=BaseModel)
Headers = Iterable[tuple[bytes, bytes]]


@dataclass(slots=True)
class Call:
    """One request, checked: what an endpoint works with."""

    method: str
    path: str
    path_parameters: Mapping[str, str]
    request_id: str
    caller: Caller | None = None
    message_id: str | None = None
    idempotency_key: str | None = None
    body: BaseModel | None = None
    query: BaseModel | None = None
    headers: Headers = ()
    receive: Receive | None = None

    @property
    def known_caller(self) -> Caller:
        """The caller of an operation that needs a key."""
        assert self.caller is not None, "the operation needs a key"
        return self.caller

    def body_as(self, model: type[_Model]) -> _Model:
        """Return the body, which the operation declares as this model."""
        assert isinstance(self.body, model)
        return self.body

    def query_as(self, model: type[_Model]) -> _Model:
        """Return the query, which the operation declares as this model."""
        assert isinstance(self.query, model)
        return self.query


Endpoint = Callable[[Call], Awaitable[Answer]]
Verify = Callable[[Mapping[str, str], Headers, bytes], str]
"""Takes the path's parameters, the headers and the raw body, and returns the id of the message; raises Problem where it
is not signed by whom it should be."""


@dataclass(frozen=True)
class Operation:
    """One method on one path. Without a scope it is open to everybody.

    `request` and `query` are models of the body and the query; a body may be left out where every member may.
    `verify` is for messages that are signed instead of sent with a key: nothing is done with one that it refuses.
    `answers` names the model of each status, or the media type where it is text; problems are added. `idempotent`
    takes an Idempotency-Key. `refused` makes the answer for people whose key or session is not good enough, in place
    of the problem. `sensitive` is limited more strictly than the rest. `work` says how important it is when
    not all can be served; without one it is always let in, as what operators need then. `calls_processor`: it takes a
    place at one, too.
    """

    method: str
    path: str
    endpoint: Endpoint
    summary: str
    tag: str
    scope: str | None = None
    verify: Verify | None = None
    refused: Callable[[Problem], Response] | None = None
    request: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    answers: Mapping[int, type[BaseModel] | str | None] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    idempotent: bool = False
    sensitive: bool = False
    work: Work | None = None
    calls_processor: bool = False
    example: Mapping[str, Any] | None = None

    @cached_property
    def name(self) -> str:
        """The method and the path's template: what tells operations apart."""
        return f"{self.method} {self.path}"

    @property
    def needs_body(self) -> bool:
        """Whether a body must be sent: not where every member may be left out."""
        return self.request is not None and any(member.is_required() for member in self.request.model_fields.values())
