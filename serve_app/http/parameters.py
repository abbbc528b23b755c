"""Identifiers in paths and queries."""

from __future__ import annotations

from uuid import UUID

from serve_app.domain.errors import NotFound
from serve_app.domain.idempotency import Claim, claim
from serve_app.domain.ids import Prefix, parse_id
from serve_app.http.operation import Call
from serve_app.problems import invalid


def path_id(call: Call, name: str, prefix: Prefix) -> UUID:
    """Return the identifier in the path.

    Raises:
        NotFound: it is none, so there is no such object.
    """
    found = parse_id(prefix, call.path_parameters[name])
    if found is None:
        raise NotFound(name.removesuffix("_id"), "of that id")
    return found


def page_start(starting_after: str | None, prefix: Prefix) -> UUID | None:
    """Return the id after which a page starts, None for the first page.

    Raises:
        Problem: it is not the id of such an object.
    """
    if starting_after is None:
        return None
    found = parse_id(prefix, starting_after)
    if found is None:
        raise invalid([("starting_after", f"must be the id of an object, such as {prefix.value}_...")])
    return found


def claim_of(call: Call) -> Claim | None:
    """Return what the call's idempotency key claims: the request as it was understood."""
    if call.idempotency_key is None:
        return None
    assert call.body is not None, "an operation that takes a key has a body"
    return claim(call.idempotency_key, call.method, call.path, call.body.model_dump_json().encode())


def body_id(text: str, prefix: Prefix, field: str) -> UUID:
    """Return an identifier that a member of the body gives.

    Raises:
        Problem: it is not the id of such an object.
    """
    found = parse_id(prefix, text)
    if found is None:
        raise invalid([(field, f"must be an id, such as {prefix.value}_...")])
    return found
