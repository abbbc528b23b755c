"""Example values for a schema: its own examples where it has some, else the plainest value that is valid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DEPTH_MAX = 12
"""Levels of nesting after which a recursive model ends with null."""

_BY_FORMAT: Mapping[str, str] = {
    "date-time": "2026-01-31T09:30:00Z",
    "uuid": "019a3c5e-7d4f-7a1b-8c2d-3e4f5a6b7c8d",
    "uri": "https://example.com/",
}
_BY_TYPE: Mapping[str, Any] = {"number": 0, "boolean": True, "string": "string", "null": None}


def sample(schema: Mapping[str, Any], schemas: Mapping[str, Any], depth_max: int = DEPTH_MAX) -> Any:
    """Return a value of the schema; `schemas` are those that it refers to by name."""
    if depth_max == 0:
        return None
    if "$ref" in schema:
        return sample(schemas[schema["$ref"].rpartition("/")[2]], schemas, depth_max - 1)
    for chosen_from in ("examples", "enum"):
        if schema.get(chosen_from):
            return schema[chosen_from][0]
    for value in ("const", "default"):
        if value in schema:
            return schema[value]
    for combined in ("anyOf", "oneOf", "allOf"):
        if combined in schema:
            return _of_options(schema[combined], schemas, depth_max)
    return _of_type(schema, schemas, depth_max)


def _of_options(options: Sequence[Mapping[str, Any]], schemas: Mapping[str, Any], depth_max: int) -> Any:
    # What may be null mostly is: a reason to decline, a settlement.
    if any(option.get("type") == "null" for option in options) and "examples" not in options[0]:
        return None
    return sample(options[0], schemas, depth_max - 1)


def _of_type(schema: Mapping[str, Any], schemas: Mapping[str, Any], depth_max: int) -> Any:
    kind = schema.get("type", "object")
    if kind == "object":
        members = schema.get("properties", {})
        return {name: sample(member, schemas, depth_max - 1) for name, member in members.items()}
    if kind == "array":
        return [sample(schema["items"], schemas, depth_max - 1)] if "items" in schema else []
    if kind == "integer":
        return schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
    return _BY_FORMAT.get(schema.get("format", ""), _BY_TYPE[kind])
