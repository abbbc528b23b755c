"""The router of reads against a world of replicas that replay, stop, die and are promoted, in virtual time."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.pool.replicas.lag import LagMeter
from actors.pool.replicas.mark import Mark
from actors.pool.replicas.router import Observation, ReplicaRouter, RouterPolicy
from actors.pool.servers.timeline import Standing

NAMES = ("a", "b", "c")
POLICY = RouterPolicy(lag_max_s=2.0, fit_min_s=1.0, fit_max_s=8.0, unseen_max_s=3.0)
LOOK_S = 0.25
names = st.sampled_from(NAMES)


@dataclass
class Server:
    """A standby: what it has replayed of which timeline."""

    lsn: int = 0
    timeline: int = 1
    lives: bool = True
    replays: bool = True
    follows: bool = True


class RoutedReads(RuleBasedStateMachine):
    """Writes move the primary; whoever wrote has a mark and must be sent to who has it, or to the primary."""

    @initialize()
    def begin(self) -> None:
        """Start with all well and seen."""
        self.now = 0.0
        self.lsn, self.timeline = 100, 1
        self.marks = [Mark(1, 100)]
        self.servers = {name: Server(100) for name in NAMES}
        self.router = ReplicaRouter(NAMES, POLICY)
        self.meter = LagMeter()
        self.calm_since = 0.0
        self.look(1)

    @rule(by=st.integers(1, 50))
    def write(self, by: int) -> None:
        """A merchant writes, and is told so."""
        self.lsn += by
        self.marks.append(Mark(self.timeline, self.lsn))

    @rule(times=st.integers(1, 60))
    def look(self, times: int) -> None:
        """The monitor looks as time goes on; who can replays all there is."""
        for _ in range(times):
            self.now += LOOK_S
            self.meter.primary(self.timeline, self.lsn, self.now)
            for name, server in self.servers.items():
                if server.lives and server.replays and server.follows:
                    server.lsn, server.timeline = self.lsn, self.timeline
                seen = Standing(7, True, server.timeline, server.lsn) if server.lives else None
                lag_s = self.meter.lag_s(server.lsn, self.now) if seen else None
                self.router.observe(name, Observation(seen, lag_s), self.timeline, self.now)

    @rule(name=names, lives=st.booleans(), replays=st.booleans())
    def change(self, name: str, lives: bool, replays: bool) -> None:
        """A replica dies, stops to replay, or does again."""
        self.servers[name].lives, self.servers[name].replays = lives, replays
        self.calm_since = self.now

    @rule(name=names)
    def promote(self, name: str) -> None:
        """The primary is replaced by one that had everything; this replica goes on in the old history, on its own."""
        self.timeline += 1
        self.servers[name].follows = False
        self.servers[name].lsn += 1000
        self.calm_since = self.now

    @rule(name=names)
    def make_anew(self, name: str) -> None:
        """The replica that went its own way is copied from the primary."""
        self.servers[name] = Server(self.lsn, self.timeline)
        self.calm_since = self.now

    @rule(name=names)
    def fail(self, name: str) -> None:
        """A read fails."""
        self.router.failed(name)
        self.calm_since = self.now

    @rule(at_once=st.integers(1, 9), back=st.integers(1, 5))
    def read(self, at_once: int, back: int) -> None:
        """Readers of own writes, the last ones or earlier ones, at once; all are ended."""
        mark = self.marks[-min(back, len(self.marks))]
        asked = [choice for _ in range(at_once) if (choice := self.router.choose(mark, self.now))]
        for choice in asked:
            server = self.servers[choice.name]
            if choice.ready:
                assert server.lsn >= mark.lsn
            assert server.timeline >= mark.timeline
        ready = [choice.name for choice in asked if choice.ready]
        if ready:
            counts = [ready.count(name) for name in set(ready)]
            assert max(counts) - min(counts) <= 1, "readers are spread evenly"
        for choice in asked:
            self.router.end(choice.name, well=True)

    @invariant()
    def none_of_a_history_that_was_left_is_asked_once_that_was_seen(self) -> None:
        """Whatever it has replayed."""
        choice = self.router.choose(None, self.now)
        if choice is not None:
            self.router.end(choice.name, well=False)
            assert self.router.exclusion(choice.name, self.now) is None

    def teardown(self) -> None:
        """Whatever happened: all that is well again is asked again, by itself, within the longest while and a look."""
        if not hasattr(self, "servers"):
            return
        for name in NAMES:
            self.servers[name] = Server(self.lsn, self.timeline)
        self.look(int((POLICY.fit_max_s + 1) / LOOK_S) + 1)
        assert [self.router.exclusion(name, self.now) for name in NAMES] == [None] * 3
        assert self.router.choose(Mark(self.timeline, self.lsn), self.now) is not None


RoutedReads.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestRoutedReads = RoutedReads.TestCase
