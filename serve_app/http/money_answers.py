"""Answers of operations that move money: the object, or the problem that the outcome is."""

from __future__ import annotations

from pydantic_core import from_json

from serve_app.attempts.answer import Answer
from serve_app.attempts.intent import Owner, Requester
from serve_app.domain.attempt import AttemptState
from serve_app.http.operation import Call
from serve_app.http.response import Headers, Response, json_response
from serve_app.problems import Code, Problem
from serve_app.tracing.notes import current_notes

_REPLAYED: Headers = ((b"idempotent-replayed", b"true"),)
_UNKNOWN_YET = 202


def owner_of(call: Call) -> Owner:
    """Return whose objects the call is about."""
    caller = call.known_caller
    return Owner(caller.merchant_id, caller.livemode, Requester(caller.key_id, call.request_id))


def money_response(answer: Answer, success_status: int, payment: bytes) -> Response:
    """Return the answer of an attempt; `payment` is the payment's JSON, which a problem carries.

    Raises:
        Problem: it was declined (402) or failed (502); the problem carries the payment.
    """
    notes = current_notes()
    if notes is not None:
        notes.answered(answer.state.value, answer.code, replayed=answer.replayed)
    headers = _REPLAYED if answer.replayed else ()
    if answer.state is AttemptState.SUCCEEDED:
        return json_response(success_status, answer.body, headers)
    if answer.state.is_open:
        return json_response(_UNKNOWN_YET, answer.body, headers)
    members = {"payment": from_json(payment), "decline_code": answer.code}
    if answer.state is AttemptState.DECLINED:
        raise Problem(Code.PAYMENT_DECLINED, f"The issuer said: {answer.code}.", members=members, headers=headers)
    del members["decline_code"]
    detail = f"The processor did not do it: {answer.code}. No money was moved."
    raise Problem(Code.PROCESSOR_FAILED, detail, members=members, headers=headers)
