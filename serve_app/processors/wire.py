"""The JSON forms of requests and answers between the connector and the acquirer.

The body decides, never the HTTP status alone: a status can come from a proxy that knows nothing. What does
not read as one of our answers reads as None, and None proves nothing.
"""

from __future__ import annotations

import json
from typing import Any

from serve_app.processors.protocol import (
    Approved,
    Declined,
    Failed,
    NotFound,
    Pending,
    ProcessorRequest,
    Refused,
    Unknown,
)

Answer = Approved | Declined | Failed | Unknown | Pending | NotFound | Refused


def encode_request(request: ProcessorRequest) -> bytes:
    """Write a request as the body of `POST /v1/operations`."""
    return json.dumps(
        {
            "attempt_id": request.attempt_id,
            "kind": request.kind,
            "amount_minor": request.amount_minor,
            "currency": request.currency,
            "token": request.token,
            "capture": request.capture,
            "reference": request.reference,
        }
    ).encode()


def encode_answer(answer: Answer) -> dict[str, Any]:
    """Write an answer as a JSON object whose `status` names it."""
    match answer:
        case Approved(reference):
            return {"status": "approved", "reference": reference}
        case Declined(code, reference):
            return {"status": "declined", "code": code, "reference": reference}
        case Failed(code, retryable):
            return {"status": "failed", "code": code, "retryable": retryable}
        case Unknown(reason):
            return {"status": "unknown", "reason": reason}
        case Pending():
            return {"status": "pending"}
        case NotFound():
            return {"status": "not_found"}
        case Refused():
            return {"status": "refused"}


def decode_answer(body: bytes) -> Answer | None:
    """Read an answer, or None where the body is not one of ours."""
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return answer_of(document)


def answer_of(document: object) -> Answer | None:
    """Read an answer from a parsed JSON object, or None where it is not one of ours."""
    match document:
        case {"status": "approved", "reference": str(reference)}:
            return Approved(reference)
        case {"status": "declined", "code": str(code), "reference": (str() | None) as reference}:
            return Declined(code, reference)
        case {"status": "failed", "code": str(code), "retryable": bool(retryable)}:
            return Failed(code, retryable)
        case {"status": "unknown", "reason": str(reason)}:
            return Unknown(reason)
        case {"status": "pending"}:
            return Pending()
        case {"status": "not_found"}:
            return NotFound()
        case {"status": "refused"}:
            return Refused()
    return None
