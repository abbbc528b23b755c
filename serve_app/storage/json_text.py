"""JSON columns: the driver hands them over as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json, to_json


def encode_metadata(metadata: Mapping[str, str]) -> str:
    """Return metadata as JSON text; the empty one, which most payments have, costs nothing."""
    return to_json(metadata).decode() if metadata else "{}"


def decode_metadata(text: str) -> Mapping[str, str]:
    """Return metadata from JSON text."""
    decoded: dict[str, Any] = from_json(text) if text != "{}" else {}
    return decoded
