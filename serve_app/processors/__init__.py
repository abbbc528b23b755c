"""Connectors to payment processors: one protocol, the simulator in process and over HTTP."""

from serve_app.domain.attempt import AttemptKind
from serve_app.processors.http import HttpProcessor
from serve_app.processors.protocol import (
    Approved,
    Declined,
    Definite,
    Failed,
    Lookup,
    LookupFailed,
    NotFound,
    Outcome,
    Pending,
    Processor,
    ProcessorRequest,
    Refusal,
    Refused,
    Unknown,
)
from serve_app.processors.simulator import Simulator
from serve_app.processors.tokens import TestCard, lookup_token

__all__ = [
    "Approved",
    "AttemptKind",
    "Declined",
    "Definite",
    "Failed",
    "HttpProcessor",
    "Lookup",
    "LookupFailed",
    "NotFound",
    "Outcome",
    "Pending",
    "Processor",
    "ProcessorRequest",
    "Refusal",
    "Refused",
    "Simulator",
    "TestCard",
    "Unknown",
    "lookup_token",
]
