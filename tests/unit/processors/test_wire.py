"""The JSON forms between connector and acquirer."""

from __future__ import annotations

import json

import pytest

from serve_app.domain.attempt import AttemptKind
from serve_app.processors.acquirer.app import OperationBody
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
from serve_app.processors.wire import Answer, decode_answer, encode_answer, encode_request

ANSWERS: list[Answer] = [
    Approved("auth_x"),
    Declined("expired_card", "auth_x"),
    Declined("expired_card"),
    Failed("processor_error", retryable=True),
    Failed("refused", retryable=False),
    Unknown("attempt_mismatch"),
    Pending(),
    NotFound(),
    Refused(),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=repr)
def test_answers_survive_the_wire(answer: Answer) -> None:
    """An answer is read as it was written."""
    assert decode_answer(json.dumps(encode_answer(answer)).encode()) == answer


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>502 Bad Gateway</html>",
        b"\xff\xfe",
        b"[]",
        b'"approved"',
        b"{}",
        b'{"status": "approved"}',
        b'{"status": "approved", "reference": 7}',
        b'{"status": "failed", "code": "x", "retryable": "no"}',
        b'{"status": "victorious"}',
    ],
)
def test_foreign_bodies_read_as_nothing(body: bytes) -> None:
    """A body that is not one of ours proves nothing."""
    assert decode_answer(body) is None


def test_requests_survive_the_wire() -> None:
    """The acquirer reads the request that the connector wrote."""
    request = ProcessorRequest("att_1", AttemptKind.CAPTURE, 250, "JPY", "tok_visa", False, "auth_x")
    assert OperationBody.model_validate_json(encode_request(request)).to_request() == request
