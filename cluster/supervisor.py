"""The supervisor of actors: compares those that there are with those that there should be, and mends the difference.

It runs in a thread of its own actor from the constructor on, so that it goes on by itself after a restart. Everything
that it does can be done again.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError

from actors.runtime.spec import ActorSpec, create
from cluster.process_logs import set_up_logging

_logger = logging.getLogger(__name__)

_EVERY_S = 1.0
_PING_TIMEOUT_S = 5.0
_START_TIMEOUT_S = 30.0


class Repair(Enum):
    """What has to be done about one actor."""

    CREATE = auto()
    REPLACE = auto()


@dataclass(frozen=True, slots=True)
class Observed:
    """The actors that there are, and the version of the code that each runs."""

    versions: Mapping[str, str] = field(default_factory=dict)


def reconcile(desired: Mapping[str, str], observed: Observed) -> dict[str, Repair]:
    """Return what to do, by name, so that every desired actor runs in its desired version."""
    repairs: dict[str, Repair] = {}
    for name, version in desired.items():
        running = observed.versions.get(name)
        if running is None:
            repairs[name] = Repair.CREATE
        elif running != version:
            repairs[name] = Repair.REPLACE
    return repairs


@dataclass(frozen=True)
class ActorGroup:
    """Actors of one kind whose number changes. ``keeper`` is the actor that says, by ``members``, which there have to
    be; the names of all begin with ``prefix``, and ``member`` says what one of a name should be."""

    keeper: str
    prefix: str
    member: Callable[[str], ActorSpec]

    @property
    def code_version(self) -> str:
        """The version of the code of every member."""
        return self.member(self.prefix).code_version


def surplus(group: ActorGroup, members: Iterable[str], running: Iterable[str]) -> list[str]:
    """Return the names of those that run and are members no more."""
    wanted = set(members)
    return [name for name in running if name.startswith(group.prefix) and name not in wanted]


class SupervisorActor:
    """Keeps the actors of one gateway."""

    def __init__(self, code_version: str, specs: Sequence[ActorSpec], group: ActorGroup | None, namespace: str) -> None:
        set_up_logging()
        self._code_version = code_version
        self._specs = {spec.name: spec for spec in specs}
        self._desired = {spec.name: spec.code_version for spec in specs}
        self._group = group
        self._versions = _versions(specs, group)
        self._namespace = namespace
        self._repairs = 0
        self._rounds = 0
        self._wake = threading.Event()
        threading.Thread(target=self._run, name="reconcile", daemon=True).start()

    def status(self) -> dict[str, Any]:
        """Return the process id, the version, the rounds that ended well, the repairs, and the desired actors."""
        return {
            "pid": os.getpid(),
            "version": self._code_version,
            "rounds": self._rounds,
            "repairs": self._repairs,
            "actors": self._versions,
        }

    def _run(self) -> None:
        try:
            while True:
                self._try_round()
                self._wake.wait(_EVERY_S)
        except BaseException:
            # A defect. A thread would end unnoticed and nobody would supervise; a process that ends is started again.
            _logger.exception("the supervisor cannot go on")
            os._exit(1)

    def _try_round(self) -> None:
        try:
            self._round()
            self._rounds += 1
        except RayError:
            _logger.exception("a round of the supervisor failed; the next one tries again")

    def _round(self) -> None:
        self._mend(self._desired, self._specs.__getitem__)
        if self._group is None:
            return
        keeper: Any = ray.get_actor(self._group.keeper, self._namespace)
        members: Sequence[str] = _ask(keeper.members.remote(), _PING_TIMEOUT_S)
        version = self._versions[self._group.prefix]
        self._mend(dict.fromkeys(members, version), self._group.member)
        for name in surplus(self._group, members, self._running()):
            actor: Any = ray.get_actor(name, self._namespace)
            if _ask(actor.may_end.remote(), _PING_TIMEOUT_S):
                _logger.warning("actor %s: is not needed any more", name)
                ray.kill(actor)

    def _mend(self, desired: Mapping[str, str], spec: Callable[[str], ActorSpec]) -> None:
        created: list[Any] = []
        for name, repair in reconcile(desired, self._observe(desired)).items():
            _logger.warning("actor %s: %s", name, repair.name.lower())
            if repair is Repair.REPLACE:
                ray.kill(ray.get_actor(name, self._namespace))
            created.append(create(spec(name), self._namespace))
        # Their processes start beside each other; what they do first, they do in the order in which they are needed.
        for actor in created:
            _ask(actor.ensure_running.remote(), _START_TIMEOUT_S)
            self._repairs += 1

    def _observe(self, desired: Mapping[str, str]) -> Observed:
        versions: dict[str, str] = {}
        for name in desired:
            try:
                actor: Any = ray.get_actor(name, self._namespace)
                versions[name] = str(_ask(actor.ensure_running.remote(), _PING_TIMEOUT_S))
            except ValueError:
                continue  # There is none of that name.
            except (RayActorError, GetTimeoutError):
                # It restarts, or is busy: Ray brings it back, and the next round looks again.
                versions[name] = desired[name]
        return Observed(versions)

    def _running(self) -> list[str]:
        found = ray.util.list_named_actors(all_namespaces=True)
        return [actor["name"] for actor in found if actor["namespace"] == self._namespace]


def _versions(specs: Sequence[ActorSpec], group: ActorGroup | None) -> dict[str, str]:
    versions = {spec.name: spec.code_version for spec in specs}
    return versions if group is None else {**versions, group.prefix: group.code_version}


def start_supervisor(
    specs: Sequence[ActorSpec], group: ActorGroup | None, name: str, namespace: str, *, within_s: float
) -> None:
    """Start the supervisor of these actors, in place of one of another version, and wait until all of them answer.

    Raises:
        TimeoutError: one of them did not answer in time.
    """
    supervisor = ActorSpec(name, SupervisorActor, (tuple(specs), group, namespace), max_concurrency=4)
    wanted = _versions(specs, group)
    actor = create(supervisor, namespace)
    give_up = time.monotonic() + within_s
    while True:
        status = _ask(actor.status.remote(), within_s)
        if status["version"] != supervisor.code_version or status["actors"] != wanted:
            ray.kill(actor)
            actor = create(supervisor, namespace)
        elif status["rounds"] > 0:
            return
        if time.monotonic() > give_up:
            raise TimeoutError(f"the actors did not answer within {within_s:g} s: {status}")
        time.sleep(_EVERY_S / 10)


def _ask(reference: Any, timeout_s: float) -> Any:
    """Wait for an answer; Ray's own signature knows nothing of handles that were found by name."""
    answer: Any = ray.get(reference, timeout=timeout_s)
    return answer
