"""Each error has its problem, and a problem says what RFC 9457 and the contract ask for."""

from __future__ import annotations

import pickle
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from actors.runtime.errors import DeadlineExceeded, OutcomeUnknown, Overloaded, RowRejected, Unavailable
from serve_app.domain import errors as domain
from serve_app.problems import Code, Problem, problem_of, response_of

_CONTRACT = {
    "invalid_request": 400, "validation_failed": 422, "authentication_required": 401, "permission_denied": 403,
    "not_found": 404, "method_not_allowed": 405, "conflict": 409, "idempotency_in_progress": 409,
    "idempotency_mismatch": 422, "payment_declined": 402, "payload_too_large": 413, "unsupported_media_type": 415,
    "rate_limited": 429, "overloaded": 503, "processor_failed": 502, "processor_unavailable": 503,
    "deadline_exceeded": 504, "internal_error": 500, "signature_invalid": 401,
}  # fmt: skip


class _Model(BaseModel):
    amount: int


def _validation_error() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        _Model.model_validate({"amount": "4242424242424242 x"})
    return caught.value


def test_the_codes_are_those_of_the_contract() -> None:
    """Names and statuses are promises."""
    assert {code.code: code.status for code in Code} == _CONTRACT


@pytest.mark.parametrize("code", Code)
def test_a_problem_is_whole(code: Code) -> None:
    """It has each member, and waiting is asked for in whole seconds where it helps."""
    answer = response_of(Problem(code, "So it is."), "r-1")
    headers = dict(answer.headers)
    assert answer.status == code.status
    assert headers[b"content-type"] == b"application/problem+json"
    body = from_json(answer.body)
    assert body == {
        "type": f"/docs#{code.code}", "title": code.title, "status": code.status, "detail": "So it is.",
        "code": code.code, "request_id": "r-1",
    }  # fmt: skip
    assert (headers.get(b"retry-after") == b"1") == (code.status in (429, 503))


@pytest.mark.parametrize(("wait_s", "header"), [(0.0, b"1"), (0.2, b"1"), (1.0, b"1"), (1.2, b"2"), (30.0, b"30")])
def test_waiting_is_rounded_up(wait_s: float, header: bytes) -> None:
    """To whole seconds, at least one: sooner would be in vain."""
    answer = response_of(Problem(Code.OVERLOADED, "", retry_after_s=wait_s), "r-1")
    assert dict(answer.headers)[b"retry-after"] == header


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Overloaded("pool", 2.5), Code.OVERLOADED),
        (Unavailable("database", "connection refused", 1.0), Code.OVERLOADED),
        (DeadlineExceeded("commit"), Code.DEADLINE_EXCEEDED),
        (OutcomeUnknown("commit", "connection lost"), Code.INTERNAL_ERROR),
        (RowRejected("begin", "23505", "payments_pkey"), Code.INTERNAL_ERROR),
        (domain.InvalidAmount("amount", "is more than is left"), Code.VALIDATION_FAILED),
        (domain.TransitionForbidden("capture", "voided", "it was released"), Code.CONFLICT),
        (domain.ConcurrentChange("payment", "pay_1"), Code.CONFLICT),
        (domain.NotFound("payment", "pay_1"), Code.NOT_FOUND),
        (domain.IdempotencyMismatch("k"), Code.IDEMPOTENCY_MISMATCH),
        (domain.IdempotencyInProgress("k", 1.0), Code.IDEMPOTENCY_IN_PROGRESS),
        (domain.ProcessorUnavailable("acme", 5.0), Code.PROCESSOR_UNAVAILABLE),
        (_validation_error(), Code.INTERNAL_ERROR),
        (RuntimeError("secret"), Code.INTERNAL_ERROR),
        (TimeoutError(), Code.INTERNAL_ERROR),
    ],
)
def test_each_error_has_its_problem(error: Exception, code: Code) -> None:
    """What nobody foresaw, a validation error of our own included, is ours to answer for."""
    assert problem_of(error).code is code


def test_every_domain_error_has_a_problem() -> None:
    """A new one that is forgotten would be a 500."""
    kinds = [
        kind for kind in vars(domain).values() if isinstance(kind, type) and kind.__bases__ == (domain.DomainError,)
    ]
    assert kinds
    for kind in kinds:
        arguments = range(len(signature(kind).parameters))
        assert problem_of(kind(*arguments)).code is not Code.INTERNAL_ERROR, kind


@pytest.mark.parametrize("error", [RuntimeError("select 1"), OutcomeUnknown("commit", "10.0.0.1"), _validation_error()])
def test_nothing_of_an_unforeseen_error_is_told(error: Exception) -> None:
    """Only its request id connects the answer with the log."""
    answer = response_of(problem_of(error), "r-1")
    for secret in (b"select", b"10.0.0.1", b"commit", b"4242", b"Runtime", Path(__file__).name.encode()):
        assert secret not in answer.body


@pytest.mark.parametrize(
    "error", [Overloaded("shard-3", 1.0), Unavailable("pool-manager", "refused", 1.0), DeadlineExceeded("begin")]
)
def test_the_names_of_our_parts_stay_inside(error: Exception) -> None:
    """What is overloaded is for operators."""
    answer = response_of(problem_of(error), "r-1")
    assert not any(name in answer.body for name in (b"shard", b"manager", b"refused", b"begin"))


def test_members_and_errors_are_added() -> None:
    """A declined payment comes with its problem."""
    members: dict[str, Any] = {"payment": {"id": "pay_1"}, "decline_code": "expired_card"}
    answer = response_of(Problem(Code.PAYMENT_DECLINED, "No.", [("amount", "is odd")], members), "r-1")
    for expected in (b'"payment":{"id":"pay_1"}', b'"errors":[{"field":"amount","message":"is odd"}]'):
        assert expected in answer.body


def test_a_problem_pickles_whole() -> None:
    """An error that crosses a process keeps all that it says."""
    problem = Problem(Code.OVERLOADED, "Later.", [("a", "b")], {"c": 1}, 2.0, ((b"d", b"e"),))
    copy = pickle.loads(pickle.dumps(problem))
    assert vars(copy) == vars(problem)
    assert str(copy) == "overloaded: Later."
