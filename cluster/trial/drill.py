"""Kill one process of a gateway after the other while test payments run, and see what holds."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil

from cluster.cli.client import is_ready, tls_context
from cluster.settings import Settings
from cluster.state import StateFile
from cluster.trial.audit import audit
from cluster.trial.faults import Fault, find
from cluster.trial.key import trial_key
from cluster.trial.stream import Answer, Stream, until
from cluster.trial.verdict import Line, Money, Struck, judge_all

_BACK_WITHIN_S = 120.0
_GIVE_UP_S = 150.0


@dataclass(frozen=True, slots=True)
class Target:
    """The gateway that is drilled; its processes carry the mark ``instance``."""

    url: str
    settings: Settings
    instance: str
    state: StateFile


@dataclass(frozen=True, slots=True)
class Drilled:
    """What came of it; ``skipped`` are faults of which this gateway has no process."""

    lines: Sequence[Line]
    skipped: Sequence[str]
    money: Money

    @property
    def held(self) -> bool:
        """Whether everything that was promised held."""
        return not self.money.faults and not any(line.faults for line in self.lines)


async def drill(
    target: Target, faults: Sequence[Fault], *, rate_per_s: float, settle_s: float, tell: Callable[[str], None]
) -> Drilled:
    """Kill a process of each fault in turn; payments go on for ``settle_s`` seconds after each has come back."""
    description = f"easypay drill {uuid.uuid4().hex[:12]}"
    struck: list[Struck] = []
    skipped: list[str] = []
    async with trial_key(target.settings) as key:
        stream = Stream(target.url, key, description, rate_per_s, tls_context(target.url))
        paying = asyncio.create_task(stream.run(_GIVE_UP_S))
        try:
            await asyncio.sleep(settle_s)
            for fault in faults:
                done = await _strike(target, fault, settle_s, stream.books.answers, tell)
                if done is None:
                    skipped.append(fault.name)
                else:
                    struck.append(done)
        finally:
            stream.stop()
            await paying
        owner_url = target.settings.owner_url
        assert owner_url is not None
        money = await audit(owner_url.get_secret_value(), description, stream.books)
    return Drilled(judge_all(struck, stream.books.answers), skipped, money)


async def _strike(
    target: Target, fault: Fault, settle_s: float, answers: Sequence[Answer], tell: Callable[[str], None]
) -> Struck | None:
    loop = asyncio.get_running_loop()
    before = await asyncio.to_thread(_find, target, fault)
    if not before:
        tell(f"{fault.name}: this gateway has none")
        return None
    victim = fault.victim(before)
    at = loop.time()
    try:
        victim.send_signal(signal.SIGKILL)
    except psutil.NoSuchProcess:
        # It has gone by itself since it was looked for: what follows is the same.
        tell(f"{fault.name}: process {victim.pid} had ended before it could be killed")
    else:
        tell(f"{fault.name}: process {victim.pid} is killed")
    known = {process.pid for process in before}
    wanted = 1 if fault.youngest else len(before)

    def is_back() -> bool:
        # As many as before, one of them new, and the gateway says that it can take payments.
        now = {process.pid for process in _find(target, fault)}
        return len(now) >= wanted and bool(now - known) and is_ready(target.url)

    back = await until(is_back, _BACK_WITHIN_S)
    back_at = loop.time() if back else None
    await _quiet(answers, settle_s)
    tell(f"{fault.name}: " + ("did not come back" if back_at is None else f"back after {back_at - at:.1f} s"))
    return Struck(fault, at, back_at, loop.time())


async def _quiet(answers: Sequence[Answer], seconds: float) -> None:
    """Wait until no error was seen for so long; at most ten times as long."""
    loop = asyncio.get_running_loop()
    since = loop.time()
    give_up = since + 10 * seconds
    while loop.time() < min(since + seconds, give_up):
        await asyncio.sleep(0.1)
        since = max([since, *(answer.ended_at for answer in answers[-200:] if answer.is_error)])


def _find(target: Target, fault: Fault) -> list[psutil.Process]:
    state = target.state.read()
    if state is None:
        return find(fault, target.instance)
    return find(fault, target.instance, state["children"], state["facts"]["pid"])
