"""An incident is described well enough to find the fault, with nothing that a client sent."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from serve_app.incident import CAUSES_MAX, FRAMES_MAX, TEXT_LENGTH_MAX, describe
from tests.unit.http.exchange import CARD, SECRET


def _raised(error: Exception) -> Exception:
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


def test_the_place_is_told() -> None:
    """File, line and function, with as much of the path as tells files apart."""
    [place] = describe(_raised(RuntimeError("no")))["places"]
    assert place.startswith("unit/gateway/test_incident.py:")
    assert place.endswith(" _raised")


@pytest.mark.parametrize(
    "text",
    [
        f"card {CARD}",
        "card 4242 4242 4242 4242",
        "card 4242-4242-4242-4242",
        f"key {SECRET}",
        f"Authorization: Bearer {SECRET}",
        "postgresql://easypay:hunter2@db/easypay",
        "duplicate key\nDETAIL: Key (customer)=(Ada Lovelace) already exists.",
    ],
)
def test_the_text_is_masked(text: str) -> None:
    """Card numbers, keys, passwords and the values of a row."""
    described = repr(describe(_raised(ValueError(text))))
    assert not any(secret in described for secret in ("4242", SECRET, "hunter2", "Lovelace"))


def test_a_validation_error_tells_only_its_kinds() -> None:
    """Its text quotes the input."""

    class Model(BaseModel):
        amount: int

    with pytest.raises(ValidationError) as caught:
        Model.model_validate({"amount": f"{CARD} x"})
    assert describe(caught.value)["text"] == "Model: int_parsing"


def test_causes_are_told_too() -> None:
    """The latest first; what was raised `from None` ends the chain."""

    def fail(explicit: bool) -> None:
        try:
            raise KeyError("inner")
        except KeyError as error:
            if explicit:
                raise RuntimeError("outer") from error
            raise RuntimeError("outer") from None

    with pytest.raises(RuntimeError) as caught:
        fail(explicit=True)
    assert [cause["error"] for cause in describe(caught.value)["causes"]] == ["KeyError"]
    with pytest.raises(RuntimeError) as caught:
        fail(explicit=False)
    assert "causes" not in describe(caught.value)


def test_it_is_bounded() -> None:
    """Text, frames and causes."""

    def deep(depth: int) -> None:
        if depth == 0:
            raise RuntimeError("x" * 10_000)
        try:
            deep(depth - 1)
        except RuntimeError as error:
            raise RuntimeError("y" * 10_000) from error

    with pytest.raises(RuntimeError) as caught:
        deep(50)
    described = describe(caught.value)
    assert len(described["causes"]) == CAUSES_MAX - 1
    assert all(len(each["places"]) <= FRAMES_MAX for each in described["causes"])
    assert len(described["text"]) == TEXT_LENGTH_MAX
