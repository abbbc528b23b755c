"""The order of tests that share a gateway, and of those that have one of their own."""

from __future__ import annotations

from pathlib import Path

import pytest


def own_gateways_first(items: list[pytest.Item], folder: Path) -> None:
    """Sort a folder's tests so that those without its shared ``gateway`` run before it is started, not beside it."""
    places = [place for place, item in enumerate(items) if folder in item.path.parents]
    ordered = sorted((items[place] for place in places), key=_shares_one)
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


def _shares_one(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and "gateway" in item.fixturenames
