"""The bodies of the compression's benchmark are pages as merchants get them."""

from __future__ import annotations

import pytest

from serve_app.payments.schemas import PaymentPage
from tests.bench.compression.bodies import SIZES, payment_page


@pytest.mark.parametrize("size", SIZES.values())
def test_a_page_has_its_size_and_the_shape_of_the_documentation(size: int) -> None:
    """By less than one payment more; every payment is another one; the same seed makes the same page."""
    body = payment_page(size)
    page = PaymentPage.model_validate_json(body, extra="forbid")
    assert size <= len(body) < size + 800
    assert len({payment.id for payment in page.data}) == len(page.data)
    assert page.data == sorted(page.data, key=lambda payment: payment.created_at, reverse=True)
    assert payment_page(size) == body
    assert payment_page(size, seed=2) != body
