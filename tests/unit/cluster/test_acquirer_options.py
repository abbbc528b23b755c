"""`easypay acquirer` refuses callbacks that it could not sign, before it starts."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from cluster.cli.app import command_line

_WORDS = ["acquirer", "--data", "/nonexistent/ledger.db", "--callback-url", "http://127.0.0.1:1/x"]


@pytest.mark.parametrize("secret", [None, "hunter2", "whsec_hunter2"])
def test_callbacks_need_a_secret_that_can_sign(secret: str | None) -> None:
    """The option is named, its value is not shown."""
    result = CliRunner(env={"PROCESSOR_CALLBACK_SECRET": secret, "COLUMNS": "200"}).invoke(command_line(), _WORDS)
    assert result.exit_code == 2
    assert "--callback-secret" in result.output
    assert "whsec_ and 24 to 64 bytes" in result.output
    assert "hunter2" not in result.output
