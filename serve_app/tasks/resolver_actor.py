"""The actor that keeps the resolver sweeping until the task scheduler takes it over."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from actors.runtime.errors import ActorError
from actors.runtime.supervised import Supervised
from serve_app.config import GatewayConfig
from serve_app.incident import describe
from serve_app.logs import configure_logging
from serve_app.services import Services
from serve_app.tasks.resolver import SWEEP_MAX, Resolver

_logger = structlog.get_logger(__name__)

RESOLVER_NAME = "resolver"
_PAUSE_S = 0.5
"""Between two sweeps that found little: with the processor's own time, well under the ten seconds promised."""


@dataclass(frozen=True, slots=True)
class ResolverStatus:
    """What the resolver has done since its process started."""

    pid: int
    sweeps: int
    found: int
    concluded: int
    last_error: str | None


class ResolverActor(Supervised):
    """Sweeps for as long as it lives. The supervisor asks it to, again after each restart."""

    def __init__(self, code_version: str, configure: Callable[[], GatewayConfig]) -> None:
        super().__init__(code_version)
        self._configure = configure
        self._sweeping: asyncio.Task[None] | None = None
        self._sweeps = self._found = self._concluded = 0
        self._last_error: str | None = None

    async def ensure_running(self) -> str:
        """Start sweeping unless it does already; safe to repeat."""
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.get_running_loop().create_task(self._run())
        return await super().ensure_running()

    async def status(self) -> ResolverStatus:
        """Return what it has done."""
        return ResolverStatus(os.getpid(), self._sweeps, self._found, self._concluded, self._last_error)

    async def _run(self) -> None:
        configure_logging()
        services = await Services.open(self._configure(), name="resolver", connections=2)
        try:
            await self._sweep_for_ever(services.resolver)
        except Exception as error:
            # The supervisor's next call starts it again; the defect must not go unseen.
            self._last_error = type(error).__name__
            _logger.error("the resolver stopped sweeping", **describe(error))
        finally:
            await services.close()

    async def _sweep_for_ever(self, resolver: Resolver) -> None:
        while True:
            full = False
            try:
                swept = await resolver.sweep()
                self._sweeps += 1
                self._found += swept.found
                self._concluded += swept.concluded
                full = swept.found == SWEEP_MAX and swept.concluded > 0
                self._last_error = None
            except ActorError as error:
                self._last_error = str(error)
            if not full:
                await asyncio.sleep(_PAUSE_S)
