"""The log of each process of the gateway, at the level of its settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from cluster.settings import load_settings
from serve_app.logs import STANDARD_OUTPUT, configure_logging

_Made = TypeVar("_Made")


def set_up_logging(to: int = STANDARD_OUTPUT) -> None:
    """Have this process write its log at LOG_LEVEL, to a descriptor. Safe to repeat."""
    configure_logging(load_settings().log_level, to)


def logged(make: Callable[..., _Made], *arguments: object) -> _Made:
    """Set the log of this process up, and return what is made. `partial(logged, make)` is for an actor that calls
    `make` in its own process, before it does anything that it would log."""
    set_up_logging()
    return make(*arguments)
