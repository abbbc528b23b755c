"""A process that dies by SIGKILL at one step of one operation. Run with one JSON object as argument."""

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


async def main(plan: dict[str, str]) -> None:
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


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
