"""Logging of a process of the gateway: JSON, one line each, to a descriptor of its own."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any, TextIO

import structlog

from serve_app.config import LogLevel

STANDARD_OUTPUT, STANDARD_ERROR = 1, 2
PACKAGES = ("actors", "serve_app", "cluster")
"""Whose messages go by the level. Those of libraries are written from warnings on, by Python itself: at `debug` some
of them tell headers of requests, keys included."""


class _Handler(logging.StreamHandler[TextIO]):
    """What this module set up, so that it is told from handlers of others."""


def configure_logging(level: LogLevel = "info", to: int = STANDARD_OUTPUT) -> None:
    """Write what is said from this level on to a descriptor; in each process, before it works. Safe to repeat: the last
    level holds, and the first descriptor.

    That holds for structlog's loggers and for those of `logging` that are of our packages. Not to sys.stdout: in a
    Serve replica that is a logger, which costs 0.2 ms a line and drops what it thinks is information.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    handler = _handler(to)
    for package in PACKAGES:
        logger = logging.getLogger(package)
        logger.setLevel(number)
        if handler not in logger.handlers:
            logger.addHandler(handler)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, *_shared(), structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=handler.stream),
        cache_logger_on_first_use=False,
    )


def is_written(level: LogLevel) -> bool:
    """Tell whether this process writes what is said at a level."""
    is_enabled: bool = structlog.get_logger().is_enabled_for(logging.getLevelNamesMapping()[level.upper()])
    return is_enabled


def _handler(descriptor: int) -> _Handler:
    """Return the handler of this process: the one that is there, or a new one."""
    for handler in logging.getLogger(PACKAGES[0]).handlers:
        if isinstance(handler, _Handler):
            return handler
    handler = _Handler(os.fdopen(os.dup(descriptor), "w", buffering=1))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_shared(), structlog.stdlib.add_logger_name, structlog.processors.format_exc_info],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    return handler


def _shared() -> Sequence[Any]:
    return structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True, key="at")
