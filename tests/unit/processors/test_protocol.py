"""The protocol's values."""

from __future__ import annotations

import pickle

import pytest

from serve_app.domain.attempt import AttemptKind
from serve_app.processors import HttpProcessor, Processor, Simulator
from serve_app.processors.protocol import (
    Approved,
    Declined,
    Failed,
    LookupFailed,
    NotFound,
    Pending,
    ProcessorRequest,
    Refused,
    Unknown,
)

VALUES = [
    ProcessorRequest("att_1", AttemptKind.REFUND, 5, "USD", "tok_visa", False, "auth_x"),
    Approved("auth_x"),
    Declined("generic_decline"),
    Failed("processor_error", retryable=True),
    Unknown("timeout"),
    Pending(),
    NotFound(),
    LookupFailed("timeout"),
    Refused(),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_pickles(value: object) -> None:
    """Every message comes through pickle as it was, because processes send them to each other."""
    assert pickle.loads(pickle.dumps(value)) == value


def test_connectors_satisfy_the_protocol() -> None:
    """Both connectors are processors that can refuse."""
    processors: list[Processor] = [Simulator(), HttpProcessor("http://127.0.0.1:1")]
    assert [processor.can_refuse for processor in processors] == [True, True]
    assert [processor.name for processor in processors] == ["simulator", "acquirer"]
