"""The only way to the query optimizer."""

from __future__ import annotations

from actors.optimizer.state import OptimizerState
from actors.runtime.client import ActorClient

OPTIMIZER_NAME = "query-optimizer"
_CALL_TIMEOUT_S = 2.0


class QueryOptimizerClient(ActorClient):
    """Ask the optimizer. The call is safe to repeat, and raises what ``ActorClient`` says."""

    def __init__(self, namespace: str, name: str = OPTIMIZER_NAME) -> None:
        super().__init__(name, namespace)

    async def state(self) -> OptimizerState:
        """Return how things stand."""
        state: OptimizerState = await self._ask("state", timeout_s=_CALL_TIMEOUT_S, repeatable=True)
        return state
