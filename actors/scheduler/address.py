"""Where an actor listens."""

from __future__ import annotations

from actors.runtime.channel import Address
from actors.runtime.client import RETRY_AFTER_S, ActorClient
from actors.runtime.errors import DeadlineExceeded, OutcomeUnknown, Unavailable

_CALL_TIMEOUT_S = 2.0


class ActorAddress(ActorClient):
    """Where an actor's server is, as Ray knows it."""

    async def address(self) -> Address:
        """Return its address. Raises ``Unavailable`` and ``Overloaded``."""
        try:
            address: Address = await self._ask("address", timeout_s=_CALL_TIMEOUT_S, repeatable=False)
        except (OutcomeUnknown, DeadlineExceeded) as lost:
            # The question changes nothing, and what was to be called there was not.
            raise Unavailable(self._name, str(lost), RETRY_AFTER_S) from lost
        return address
