"""From errors to HTTP: the only mapping. Every error is a problem of RFC 9457 with a code to program against."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from typing import Any

import structlog
from pydantic import ValidationError
from pydantic_core import ErrorDetails, to_json

from actors.runtime.errors import DeadlineExceeded, Overloaded, Unavailable
from serve_app.domain.cards import contains_card_number
from serve_app.domain.errors import (
    ConcurrentChange,
    EndpointDisabled,
    IdempotencyInProgress,
    IdempotencyMismatch,
    InvalidAmount,
    LiveKeyRefused,
    NotFound,
    ProcessorUnavailable,
    TooManyEndpoints,
    TransitionForbidden,
    WebhooksNotConfigured,
)
from serve_app.http.response import Response
from serve_app.incident import describe

_logger = structlog.get_logger(__name__)
PROBLEM_JSON = "application/problem+json"
_CONTENT_TYPE = (b"content-type", PROBLEM_JSON.encode())
_WAIT_S = 1.0
"""What 429 and 503 ask for where the error does not say: they never come without a Retry-After."""
_HIDDEN = "(hidden)"
_NAME_LENGTH_MAX = 64


class Code(Enum):
    """What went wrong, with its status and title."""

    INVALID_REQUEST = ("invalid_request", 400, "The request cannot be understood")
    AUTHENTICATION_REQUIRED = ("authentication_required", 401, "A valid API key is required")
    SIGNATURE_INVALID = ("signature_invalid", 401, "A valid signature is required")
    PAYMENT_DECLINED = ("payment_declined", 402, "The payment was declined")
    PERMISSION_DENIED = ("permission_denied", 403, "The API key may not do this")
    NOT_FOUND = ("not_found", 404, "There is no such thing")
    METHOD_NOT_ALLOWED = ("method_not_allowed", 405, "The method is not allowed here")
    CONFLICT = ("conflict", 409, "The state of the object forbids this")
    IDEMPOTENCY_IN_PROGRESS = (
        "idempotency_in_progress",
        409,
        "The first request with this key is still running",
    )
    PAYLOAD_TOO_LARGE = ("payload_too_large", 413, "The body is too large")
    UNSUPPORTED_MEDIA_TYPE = ("unsupported_media_type", 415, "The body must be JSON")
    VALIDATION_FAILED = ("validation_failed", 422, "The request is not valid")
    IDEMPOTENCY_MISMATCH = ("idempotency_mismatch", 422, "The key was used for another request")
    RATE_LIMITED = ("rate_limited", 429, "Too many requests")
    INTERNAL_ERROR = ("internal_error", 500, "Something went wrong in the gateway")
    PROCESSOR_FAILED = ("processor_failed", 502, "The processor failed")
    OVERLOADED = ("overloaded", 503, "The gateway cannot take this request now")
    PROCESSOR_UNAVAILABLE = ("processor_unavailable", 503, "The processor takes no requests now")
    DEADLINE_EXCEEDED = ("deadline_exceeded", 504, "The time for the request is over")

    def __init__(self, code: str, status: int, title: str) -> None:
        self.code = code
        self.status = status
        self.title = title

    @property
    def uri(self) -> str:
        """The problem's type: a reference to where the code is explained, relative so that it needs no domain."""
        return f"/docs#{self.code}"

    @property
    def asks_to_wait(self) -> bool:
        """Whether the same request may succeed a little later."""
        return self.status in (429, 503)


class Problem(Exception):
    """An error as it is answered. `errors` are pairs of a field and what is wrong with it; `members` are added."""

    def __init__(
        self,
        code: Code,
        detail: str,
        errors: Sequence[tuple[str, str]] = (),
        members: Mapping[str, Any] | None = None,
        retry_after_s: float | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(code, detail, errors, members, retry_after_s, headers)
        self.code = code
        self.detail = detail
        self.errors = errors
        self.members = members or {}
        self.retry_after_s = retry_after_s
        self.headers = headers

    def __str__(self) -> str:
        return f"{self.code.code}: {self.detail}"


def response_of(problem: Problem, request_id: str) -> Response:
    """Return the answer that tells a problem."""
    code = problem.code
    body: dict[str, Any] = {
        "type": code.uri,
        "title": code.title,
        "status": code.status,
        "detail": problem.detail,
        "code": code.code,
        "request_id": request_id,
    }
    if problem.errors:
        body["errors"] = [{"field": field, "message": message} for field, message in problem.errors]
    body.update(problem.members)
    headers = [_CONTENT_TYPE, *problem.headers]
    wait_s = _WAIT_S if problem.retry_after_s is None and code.asks_to_wait else problem.retry_after_s
    if wait_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(wait_s))))
    return Response(code.status, to_json(body), tuple(headers))


def problem_of(error: Exception, request_id: str = "") -> Problem:
    """Return the problem of an error. One that nobody foresaw is logged, and says nothing of itself."""
    if isinstance(error, Problem):
        return error
    for kind in type(error).__mro__:
        mapped = _MAPPING.get(kind)
        if mapped is not None:
            return mapped(error)
    # A log that cannot be written must not take the answer away too.
    with suppress(OSError, ValueError):
        _logger.error("unforeseen error", request_id=request_id, **describe(error))
    return Problem(Code.INTERNAL_ERROR, "The request failed. Repeat it with the same Idempotency-Key.")


def invalid(errors: Sequence[tuple[str, str]]) -> Problem:
    """Return the problem of fields that are not valid."""
    return Problem(Code.VALIDATION_FAILED, "Some fields are not valid.", errors)


def field_errors(error: ValidationError, prefix: str = "") -> list[tuple[str, str]]:
    """Return what is wrong with which field, without the values: one may be a card number."""
    details = error.errors(include_url=False, include_input=False, include_context=False)
    return [(prefix + _path_of(each), _message_of(each)) for each in details]


def body_problem(error: ValidationError) -> Problem:
    """Return the problem of a body: not JSON (400), or JSON that says something else than it must (422).

    Only for the validation of what a client sent; elsewhere a ValidationError is a fault of ours.
    """
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return Problem(Code.INVALID_REQUEST, "The body is not JSON.")
    return invalid(field_errors(error))


def hidden_name(name: str) -> str:
    """Return a name that a client chose as it may be told back: it can be a card number, or endless."""
    if len(name) > _NAME_LENGTH_MAX or contains_card_number(name):
        return _HIDDEN
    return name


def _path_of(details: ErrorDetails) -> str:
    parts = [str(part) for part in details["loc"]]
    if parts and parts[-1] == "[key]":
        parts = parts[:-2]
    return ".".join(hidden_name(part) for part in parts) or "body"


def _message_of(details: ErrorDetails) -> str:
    # The one message of pydantic that quotes the input.
    if details["type"] == "union_tag_invalid":
        return "Input is of none of the expected kinds"
    return details["msg"].removeprefix("Value error, ")


_MAPPING: Mapping[type[BaseException], Callable[[Any], Problem]] = {
    LiveKeyRefused: lambda error: Problem(Code.PERMISSION_DENIED, f"{error}."),
    InvalidAmount: lambda error: invalid([(error.field, error.reason)]),
    TransitionForbidden: lambda error: Problem(Code.CONFLICT, f"{error}."),
    ConcurrentChange: lambda error: Problem(Code.CONFLICT, f"{error}; repeat the request.", retry_after_s=1),
    EndpointDisabled: lambda error: Problem(Code.CONFLICT, f"{error}."),
    TooManyEndpoints: lambda error: Problem(Code.CONFLICT, f"{error}."),
    WebhooksNotConfigured: lambda error: Problem(Code.OVERLOADED, f"{error}.", retry_after_s=60),
    NotFound: lambda error: Problem(Code.NOT_FOUND, f"{error}."),
    IdempotencyMismatch: lambda error: Problem(Code.IDEMPOTENCY_MISMATCH, f"{error}."),
    IdempotencyInProgress: lambda error: Problem(
        Code.IDEMPOTENCY_IN_PROGRESS, f"{error}.", retry_after_s=error.retry_after_s
    ),
    ProcessorUnavailable: lambda error: Problem(
        Code.PROCESSOR_UNAVAILABLE, f"{error}.", retry_after_s=error.retry_after_s
    ),
    Overloaded: lambda error: Problem(
        Code.OVERLOADED, "The gateway is at its limit; nothing was stored.", retry_after_s=error.retry_after_s
    ),
    Unavailable: lambda error: Problem(
        Code.OVERLOADED,
        "The gateway cannot store anything now; nothing was stored.",
        retry_after_s=error.retry_after_s,
    ),
    DeadlineExceeded: lambda _: Problem(
        Code.DEADLINE_EXCEEDED, "The time for the request is over; nothing was stored.", retry_after_s=1
    ),
}
