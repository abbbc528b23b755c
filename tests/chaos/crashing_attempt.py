"""Processes that die by SIGKILL at one step of one operation.

The program reads one JSON object a line, forks a process for each, which dies, and prints its exit code: to import what
they need takes longer than all that they do.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from uuid import UUID

from serve_app.attempts.engine import Step
from serve_app.domain.idempotency import claim
from tests.support.gateway_services import gateway_services, new_payment, owner


async def _attempt(plan: dict[str, str]) -> None:
    """Do the operation; die when the step is passed."""

    def passing(step: Step) -> None:
        if step.value == plan["step"]:
            os.kill(os.getpid(), signal.SIGKILL)

    merchant = owner(UUID(plan["merchant"]), UUID(plan["merchant"]))
    claimed = claim(plan["key"], "POST", plan["operation"], b"")
    async with gateway_services(plan["database"], processor_url=plan["processor"], passing=passing) as services:
        payments, payment_id = services.payments, UUID(plan["payment"])
        match plan["operation"]:
            case "charge":
                await payments.create(merchant, new_payment(), claimed)
            case "capture":
                await payments.capture(merchant, payment_id, 700, claimed)
            case "void":
                await payments.void(merchant, payment_id, claimed)
            case "refund":
                await services.refunds.create(merchant, payment_id, 300, None, claimed)


def main() -> None:
    """Fork until there are no more lines."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(_attempt(json.loads(line)))
            sys.exit(f"it lives: {line}")
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
