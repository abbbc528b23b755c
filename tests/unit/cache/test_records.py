"""Writes behind on their way from a process to its shards: in order, in batches, and never twice by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from actors.cache.client import CacheClient
from actors.cache.messages import RECORDS_MAX
from actors.cache.port import ActorPort, _ShardActor
from actors.cache.ring import Ring
from actors.runtime.errors import DeadlineExceeded, OutcomeUnknown, Overloaded, Unavailable


class Port:
    """A shard that takes records, one call at a time, or raises what it is told to."""

    def __init__(self) -> None:
        self.calls: list[list[tuple[str, bytes]]] = []
        self.failures: list[Exception] = []
        self._is_busy = False

    async def record(self, entries: Sequence[tuple[str, bytes]]) -> None:
        assert not self._is_busy
        self._is_busy = True
        await asyncio.sleep(0)
        self._is_busy = False
        self.calls.append(list(entries))
        if self.failures:
            raise self.failures.pop(0)


def _client(*names: str) -> tuple[CacheClient, dict[str, Port]]:
    ports = {name: Port() for name in names}
    return CacheClient(ports.__getitem__, "test", shards=names), ports  # type: ignore[arg-type]


async def test_a_key_s_records_go_to_its_shard_in_the_order_of_their_calls() -> None:
    """Together, in batches that the shard takes as one."""
    client, ports = _client("shard-0", "shard-1")
    sent = [(f"usage:{number % 50}", str(number).encode()) for number in range(300)]
    await asyncio.gather(*(client.record(key, payload) for key, payload in sent))
    ring = Ring(sorted(ports))
    for name, port in ports.items():
        assert [entry for call in port.calls for entry in call] == [
            entry for entry in sent if ring.owner(entry[0]) == name
        ]
        assert max(map(len, port.calls)) == RECORDS_MAX


@pytest.mark.parametrize(
    "failure", [Unavailable("shard", "away", 1.0), Overloaded("journal", 1.0), OutcomeUnknown("record", "lost")]
)
async def test_a_batch_that_fails_is_not_sent_again(failure: Exception) -> None:
    """Each of its callers hears why, and decides; those behind it are sent."""
    client, ports = _client("shard-0")
    port = ports["shard-0"]
    port.failures.append(failure)
    outcomes = await asyncio.gather(
        *(client.record("usage:1", str(number).encode()) for number in range(RECORDS_MAX + 1)), return_exceptions=True
    )
    assert outcomes == [failure] * RECORDS_MAX + [None]
    assert [len(call) for call in port.calls] == [RECORDS_MAX, 1]


class _Channel:
    async def call(self, method: str, *arguments: Any, timeout_s: float) -> None:
        raise DeadlineExceeded(method)


async def test_a_record_that_is_not_answered_in_time_may_have_been_taken() -> None:
    """The shard may have it, and does not give it back."""
    port = ActorPort("shard", "nowhere")
    port._channel = _Channel()  # type: ignore[assignment]
    with pytest.raises(OutcomeUnknown):
        await port.record([("usage:1", b"")])


@pytest.mark.parametrize("failure", [OutcomeUnknown("address", "lost"), DeadlineExceeded("address")])
async def test_a_shard_that_is_not_found_was_not_called(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever became of the question where it is."""

    async def ask(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(_ShardActor, "_ask", ask)
    with pytest.raises(Unavailable):
        await ActorPort("shard", "nowhere").record([("usage:1", b"")])
