"""An acquirer process of its own for the contract tests, and requests to send to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from serve_app.domain.attempt import AttemptKind
from serve_app.processors.protocol import ProcessorRequest
from tests.support.acquirer import AcquirerProcess

MakeRequest = Callable[..., ProcessorRequest]

StartAcquirer = Callable[..., AcquirerProcess]


@pytest.fixture(scope="module")
def start_acquirer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartAcquirer]:
    """Start acquirers that are killed when the module's tests are over."""
    with ExitStack() as stack:

        def start(data_path: Path | None = None, **options: Any) -> AcquirerProcess:
            data_path = data_path or tmp_path_factory.mktemp("acquirer") / "ledger.db"
            acquirer = AcquirerProcess(data_path, **options)
            stack.callback(acquirer.kill)
            return acquirer

        yield start


@pytest.fixture(scope="module")
def acquirer(start_acquirer: StartAcquirer) -> AcquirerProcess:
    """One acquirer without latency for all tests of a module."""
    return start_acquirer()


@pytest.fixture
def make_request() -> MakeRequest:
    """Make requests with attempt ids that no test used before."""

    def make(
        kind: AttemptKind = AttemptKind.AUTHORIZE,
        *,
        attempt_id: str | None = None,
        amount_minor: int = 1_000,
        currency: str = "USD",
        token: str = "tok_visa",
        capture: bool = False,
        reference: str | None = None,
    ) -> ProcessorRequest:
        attempt_id = attempt_id or f"att_{uuid4().hex}"
        return ProcessorRequest(attempt_id, kind, amount_minor, currency, token, capture, reference)

    return make
