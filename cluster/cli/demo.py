"""`easypay demo`: take a handful of payments through a gateway that runs."""

from __future__ import annotations

import time
from typing import Any

from rich.table import Column, Table

from cluster.cli.client import Answer, request
from cluster.cli.options import DataDirOption, data_dir, fail, results
from cluster.cli.running import running_state

_FINAL_S = 15.0
_POLL_S = 0.25
_ID_WIDTH = len("pay_") + 32

# What a newcomer should have seen once: success, a decline, an outcome that is only known later.
_PAYMENTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("captured at once", {"amount": 1999, "currency": "EUR", "payment_method": "tok_visa"}),
    ("authorized only", {"amount": 250_000, "currency": "JPY", "payment_method": "tok_amex", "capture": False}),
    ("declined", {"amount": 1200, "currency": "USD", "payment_method": "tok_declined"}),
    ("answer lost, charged", {"amount": 4200, "currency": "GBP", "payment_method": "tok_timeout_charged"}),
)


def demo(directory: DataDirOption = None) -> None:
    """Take a few payments, refund a part of one, and show what became of each."""
    data = data_dir(directory)
    state = running_state(data)
    if state is None or not state["ready"]:
        fail(f"no gateway is ready on {data.path}; start one with `easypay up`")
    try:
        _take_payments(state["facts"]["url"], state["facts"]["api_key"])
    except OSError as error:
        fail(f"the gateway does not answer: {error}")


def _take_payments(url: str, key: str) -> None:
    table = Table("What", "Amount", "Status", Column("Id", min_width=_ID_WIDTH), "Took", box=None, padding=(0, 2))
    captured = None
    for what, body in _PAYMENTS:
        begun = time.monotonic()
        answer = request(f"{url}/v1/payments", key=key, body=body)
        payment = _follow(url, key, answer)
        captured = captured or payment
        _add(table, what, payment, begun)
    if captured is not None:
        begun = time.monotonic()
        answer = request(f"{url}/v1/payments/{captured['id']}/refunds", key=key, body={"amount": 500})
        _add(table, "a part refunded", _expect(answer, 201), begun)
    results().print(table)


def _follow(url: str, key: str, answer: Answer) -> dict[str, Any]:
    """Return the payment in its final state: 202 says that the outcome is not known yet."""
    if answer.status == 402:
        payment: dict[str, Any] = answer.body["payment"]
        return payment
    payment = _expect(answer, 201, 202)
    deadline = time.monotonic() + _FINAL_S
    while payment["status"] == "processing" and time.monotonic() < deadline:
        time.sleep(_POLL_S)
        payment = _expect(request(f"{url}/v1/payments/{payment['id']}", key=key), 200)
    return payment


def _expect(answer: Answer, *statuses: int) -> dict[str, Any]:
    if answer.status not in statuses:
        fail(f"the gateway answered {answer.status}: {answer.body}")
    body: dict[str, Any] = answer.body
    return body


def _add(table: Table, what: str, thing: dict[str, Any], begun: float) -> None:
    took = f"{(time.monotonic() - begun) * 1000:.0f} ms"
    # Minor units, as the API has them: how many digits a currency has is not the command line's business.
    amount = f"{thing['amount']} {thing['currency']}"
    table.add_row(what, amount, thing["status"], thing["id"], took)
