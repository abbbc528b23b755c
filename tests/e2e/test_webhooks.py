"""What happens to payments is told to who asked for it, by the whole gateway."""

from __future__ import annotations

import pytest

from tests.e2e.merchant import Merchant
from tests.support.polling import eventually
from tests.support.webhook_receiver import failing, receiver_beside

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(300)]

_PAYMENTS = 100
_FIRST_TRIES_S = 60.0
"""The first tries of all, and the second ones of those that failed, which come after five seconds or a little more."""


def test_receivers_hear_of_every_payment(merchant: Merchant) -> None:
    """Each event arrives, signed, although one request in five fails; the feed and the log say the same."""
    with receiver_beside(failing(0.2, seed=5)) as receiver:
        made = merchant.post("/v1/webhook_endpoints", {"url": receiver.url, "events": ["payment.captured"]})
        assert made.status_code == 201, made.text
        receiver.secrets.append(made.json()["secret"])
        paid = [merchant.pay().json()["id"] for _ in range(_PAYMENTS)]
        eventually(lambda: len(receiver.taken()), lambda taken: taken >= 0.9 * _PAYMENTS, within_s=_FIRST_TRIES_S)
        assert receiver.forged == 0
        assert set(receiver.current()) <= set(paid)
        feed = eventually(
            lambda: merchant.get("/v1/events", limit=100).json()["data"],
            lambda events: len(events) == _PAYMENTS,
            within_s=10,
        )
        assert [event["data"]["id"] for event in feed] == paid
        delivered = [merchant.get("/v1/webhook_deliveries", event=event["id"]).json()["data"] for event in feed[:10]]
        assert all(len(each) == 1 and each[0]["tries"] >= 1 for each in delivered)
