"""Finds the operation of a request, checks who calls and what is sent, and has it answered.

Literal paths are looked up in a dictionary; the others are compared segment by segment. That is a few microseconds
where a list of regular expressions was tens.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qsl

from pydantic import BaseModel, ValidationError
from starlette.types import Receive, Scope, Send

from actors.runtime.errors import Overloaded
from serve_app.admission.admission import Admission
from serve_app.admission.work import Work
from serve_app.attempts.meter import Stage
from serve_app.domain.cards import contains_card_number
from serve_app.http.body import read_body
from serve_app.http.inbox import Inbox, whole
from serve_app.http.operation import Call, Operation, Verify
from serve_app.http.response import Answer
from serve_app.middleware.authentication import (
    OPERATOR_SCOPE,
    Authenticator,
    SessionCallers,
    authenticated,
    check_scope,
)
from serve_app.middleware.deadline import deadline_of
from serve_app.middleware.rate_limit import RateLimits
from serve_app.problems import Code, Problem, body_problem, field_errors, hidden_name, invalid
from serve_app.tracing.notes import Noted, current_notes

_KEY_HEADER = "Idempotency-Key"
_KEY = re.compile(rb"[\x21-\x7e]{1,255}\Z")
# Keys are often made of times, counters and random digits, of which one in ten passes the Luhn check: only what is
# written as a card is, from its first digit (ISO/IEC 7812) to its groups, is taken for one.
_BARE_CARD = re.compile(r"[2-6](?:[0-9]{12,18}|[0-9]{3}(-[0-9]{4}){3}|[0-9]{3}-[0-9]{6}-[0-9]{5})\Z")
_EMPTY_OBJECT = b"{}"
_TOO_MUCH = "The gateway is at its limit; nothing was stored."
_SHED = ((b"x-easypay-shed", b"1"),)
"""Marks a refusal for load for the ingress, which then refuses the like of it for a moment, and takes the mark off."""
_NO_PARAMETERS: dict[str, str] = {}


class _Path:
    """A path template with its operations by method."""

    def __init__(self, template: str) -> None:
        self.template = template
        self.segments = template.split("/")
        self.operations: dict[str, Operation] = {}

    def matches(self, segments: Sequence[str]) -> dict[str, str] | None:
        if len(segments) != len(self.segments):
            return None
        parameters: dict[str, str] = {}
        for expected, given in zip(self.segments, segments, strict=True):
            if expected[:1] == "{":
                if not given:
                    return None
                parameters[expected[1:-1]] = given
            elif expected != given:
                return None
        return parameters


class Router:
    """Serves the operations of the API."""

    def __init__(
        self,
        operations: Iterable[Operation],
        authenticator: Authenticator,
        limits: RateLimits,
        admission: Admission,
        sessions: SessionCallers | None = None,
    ) -> None:
        """With ``sessions``, what needs the scope of operators is open to their sessions too."""
        self._sessions = sessions
        self._authenticator = authenticator
        self._limits = limits
        self._admission = admission
        self._literal: dict[str, _Path] = {}
        self._templates: list[_Path] = []
        for operation in operations:
            self._add(operation)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; every error is raised."""
        path, parameters = self._find(scope["path"])
        scope["route_template"] = path.template
        method = scope["method"]
        operation = path.operations.get("GET" if method == "HEAD" else method)
        if operation is None:
            raise _not_allowed(path)
        call = Call(method, scope["path"], parameters, scope["request_id"], headers=scope["headers"])
        if operation.scope is not None:
            try:
                await self._identify(call, operation.scope, scope, is_sensitive=operation.sensitive)
            except Problem as problem:
                if operation.refused is None:
                    raise
                await operation.refused(problem).send(send, head_only=method == "HEAD")
                return
        if operation.verify is not None:
            receive = await self._verified(call, operation.verify, scope, receive)
        if operation.work is None:
            answer = await _answered(call, operation, scope, receive)
        else:
            answer = await self._in_turn(call, operation, operation.work, scope, receive)
        await answer.send(send, head_only=method == "HEAD")

    def _add(self, operation: Operation) -> None:
        known = self._literal if "{" not in operation.path else {path.template: path for path in self._templates}
        path = known.get(operation.path)
        if path is None:
            path = _Path(operation.path)
            if "{" in operation.path:
                self._templates.append(path)
            else:
                self._literal[operation.path] = path
        assert operation.method not in path.operations, f"{operation.method} {operation.path} is declared twice"
        path.operations[operation.method] = operation

    def _find(self, target: str) -> tuple[_Path, dict[str, str]]:
        literal = self._literal.get(target)
        if literal is not None:
            return literal, _NO_PARAMETERS
        segments = target.split("/")
        for path in self._templates:
            parameters = path.matches(segments)
            if parameters is not None:
                return path, parameters
        raise Problem(Code.NOT_FOUND, "There is nothing at this path.")

    async def _identify(self, call: Call, needed: str, scope: Scope, *, is_sensitive: bool) -> None:
        """Find out whose request it is, count it and see whether he may send it."""
        caller = None
        with Noted("authenticate"):
            if self._sessions is not None and needed == OPERATOR_SCOPE:
                caller = await self._sessions.caller(scope, self._limits)
            caller = call.caller = caller or await authenticated(scope, self._authenticator, self._limits)
        notes = current_notes()
        if notes is not None:
            notes.called_by(caller.merchant_id, livemode=caller.livemode)
        await self._limits.admit(scope, caller, is_sensitive=is_sensitive)
        check_scope(caller, needed)

    async def _verified(self, call: Call, verify: Verify, scope: Scope, receive: Receive) -> Receive:
        """See who signed the body before anything is made of it, and return what gives the body once more.

        Whoever sends what is refused is counted as one without a known key is; who signs well takes nothing from them.
        """
        try:
            body = await read_body(scope, receive)
            call.message_id = verify(call.path_parameters, scope["headers"], body)
        except Problem:
            await self._limits.admit_unknown(scope)
            raise
        return whole(body)

    async def _in_turn(self, call: Call, operation: Operation, work: Work, scope: Scope, receive: Receive) -> Answer:
        """Answer once it is let in. The body is not looked at before: a refusal costs as little as can be."""
        caller, now = call.known_caller, time.monotonic()
        deadline = deadline_of(scope, now)
        inbox = Inbox(receive)
        try:
            with Noted(Stage.ADMISSION.value):
                ticket = await self._admission.enter(
                    caller.merchant_id,
                    operation.name,
                    work,
                    live=caller.livemode,
                    calls_processor=operation.calls_processor,
                    deadline=deadline.at,
                    hung_up=inbox.hung_up,
                )
        except Overloaded as refusal:
            raise Problem(Code.OVERLOADED, _TOO_MUCH, retry_after_s=refusal.retry_after_s, headers=_SHED) from None
        with ticket:
            answering = _answered(call, operation, scope, inbox)
            # What writes minds the ticket's deadline itself: it must not be cut off once it has begun. The gateway's
            # own deadline is far beyond the bounds of every read.
            if work < Work.READING or not deadline.chosen:
                return await answering
            return await deadline.bounds(answering, time.monotonic())


async def _answered(call: Call, operation: Operation, scope: Scope, receive: Receive) -> Answer:
    """Check what was sent, and have it answered."""
    if operation.query is not None:
        call.query = _query(scope, operation.query)
    elif scope["query_string"] and operation.scope is not None:
        unknown = [(hidden_name(name), "is not a parameter of this operation") for name, _ in _pairs(scope)]
        raise invalid(unknown)
    if operation.idempotent:
        call.idempotency_key = _idempotency_key(scope)
    if operation.request is not None:
        call.body = _parsed(await read_body(scope, receive), operation, operation.request)
    call.receive = receive
    return await operation.endpoint(call)


def _parsed(body: bytes, operation: Operation, model: type[BaseModel]) -> BaseModel:
    if not body:
        if operation.needs_body:
            raise Problem(Code.INVALID_REQUEST, "Send a JSON object as the body.")
        body = _EMPTY_OBJECT
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise body_problem(error) from None


def _not_allowed(path: _Path) -> Problem:
    allowed = sorted({*path.operations, *(["HEAD"] if "GET" in path.operations else [])})
    header = (b"allow", ", ".join(allowed).encode())
    return Problem(Code.METHOD_NOT_ALLOWED, f"Allowed are {', '.join(allowed)}.", headers=(header,))


def _pairs(scope: Scope) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            scope["query_string"].decode("ascii"), keep_blank_values=True, max_num_fields=50, errors="strict"
        )
    except ValueError:
        raise Problem(Code.INVALID_REQUEST, "The query cannot be read.") from None


def _query(scope: Scope, model: type[BaseModel]) -> BaseModel:
    pairs = _pairs(scope) if scope["query_string"] else []
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = [(hidden_name(name), "is given more than once") for name in values if names.count(name) > 1]
        raise invalid(twice)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise invalid(field_errors(error)) from None


def _idempotency_key(scope: Scope) -> str | None:
    given = [value for name, value in scope["headers"] if name == b"idempotency-key"]
    if not given:
        return None
    if len(given) > 1:
        raise invalid([(_KEY_HEADER, "is given more than once")])
    if not _KEY.match(given[0]):
        raise invalid([(_KEY_HEADER, "must be 1 to 255 visible ASCII characters")])
    key = str(given[0], "ascii")
    if _BARE_CARD.match(key) and contains_card_number(key):
        raise invalid([(_KEY_HEADER, "must not be a card number")])
    return key
