"""From errors to HTTP: the only mapping. Every error is a problem of RFC 9457 with a code to program against."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

import structlog
from pydantic import ValidationError
from pydantic_core import ErrorDetails, to_json

from actors.runtime.errors import DeadlineExceeded, Overloaded, Unavailable
from serve_app.domain.cards import contains_card_number
from serve_app.domain.errors import (
    ConcurrentChange,
    IdempotencyInProgress,
    IdempotencyMismatch,
    InvalidAmount,
    NotFound,
    ProcessorUnavailable,
    TransitionForbidden,
)
from serve_app.http.response import Response

_logger = structlog.get_logger(__name__)
_CONTENT_TYPE = (b"content-type", b"application/problem+json")


class Code(Enum):
    """What went wrong, with its status and title."""

    INVALID_REQUEST = ("invalid_request", 400, "The request cannot be understood")
    AUTHENTICATION_REQUIRED = ("authentication_required", 401, "A valid API key is required")
    PAYMENT_DECLINED = ("payment_declined", 402, "The payment was declined")
    PERMISSION_DENIED = ("permission_denied", 403, "The API key may not do this")
    NOT_FOUND = ("not_found", 404, "There is no such thing")
    METHOD_NOT_ALLOWED = ("method_not_allowed", 405, "The method is not allowed here")
    CONFLICT = ("conflict", 409, "The state of the object forbids this")
    IDEMPOTENCY_IN_PROGRESS = ("idempotency_in_progress", 409, "The first request with this key is still running")
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


class Problem(Exception):
    """An error as it is answered. `errors` are pairs of a field and what is wrong with it; `members` are added."""

    def __init__(
        self,
        code: Code,
        detail: str,
        errors: Sequence[tuple[str, str]] = (),
        *,
        members: Mapping[str, Any] | None = None,
        retry_after_s: float | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(code, detail, errors)
        self.code = code
        self.detail = detail
        self.errors = errors
        self.members = members or {}
        self.retry_after_s = retry_after_s
        self.headers = headers


def response_of(problem: Problem, request_id: str) -> Response:
    """Return the answer that tells a problem."""
    code = problem.code
    body: dict[str, Any] = {
        "type": f"/docs#{code.code}",
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
    if problem.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, math.ceil(problem.retry_after_s))))
    return Response(code.status, to_json(body), tuple(headers))


def problem_of(error: Exception) -> Problem:
    """Return the problem of an error. One that nobody foresaw is logged, and says nothing of itself."""
    if isinstance(error, Problem):
        return error
    for kind in type(error).__mro__:
        mapped = _MAPPING.get(kind)
        if mapped is not None:
            return mapped(error)
    _logger.error("unforeseen error", exc_info=error)
    return Problem(Code.INTERNAL_ERROR, "The request failed. Repeat it with the same Idempotency-Key.")


def invalid(errors: Sequence[tuple[str, str]]) -> Problem:
    """Return the problem of fields that are not valid."""
    return Problem(Code.VALIDATION_FAILED, "Some fields are not valid.", errors)


def field_errors(error: ValidationError, prefix: str = "") -> list[tuple[str, str]]:
    """Return what is wrong with which field, without the values: one may be a card number."""
    return [_field_error(details, prefix) for details in error.errors(include_url=False, include_input=False)]


def _field_error(details: ErrorDetails, prefix: str) -> tuple[str, str]:
    parts = [str(part) for part in details["loc"]]
    if parts and parts[-1] == "[key]":
        parts = parts[:-2]
    # A client can put a card number where a name belongs: it is not told back.
    path = ".".join("(hidden)" if contains_card_number(part) else part for part in parts)
    return prefix + path, details["msg"].removeprefix("Value error, ")


def _validation_problem(error: ValidationError) -> Problem:
    if any(details["type"] == "json_invalid" for details in error.errors(include_url=False, include_input=False)):
        return Problem(Code.INVALID_REQUEST, "The body is not JSON.")
    return invalid(field_errors(error))


_MAPPING: Mapping[type[BaseException], Callable[[Any], Problem]] = {
    ValidationError: _validation_problem,
    InvalidAmount: lambda error: invalid([(error.field, error.reason)]),
    TransitionForbidden: lambda error: Problem(Code.CONFLICT, f"{error}."),
    ConcurrentChange: lambda error: Problem(Code.CONFLICT, f"{error}; repeat the request.", retry_after_s=1),
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
        Code.OVERLOADED, "The gateway cannot store anything now; nothing was stored.", retry_after_s=error.retry_after_s
    ),
    DeadlineExceeded: lambda _: Problem(
        Code.DEADLINE_EXCEEDED, "The time for the request is over; nothing was stored.", retry_after_s=1
    ),
}
