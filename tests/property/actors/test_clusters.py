"""Clusters come, stall, die and are removed in any order: the budget and the caches hold all the time."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.pool.clusters.membership import CONNECT_WITHIN_S, Beat, Member, Membership
from tests.support.cluster_table import ClusterTable

_BUDGET = 10
_NAMES = ("a", "b", "c")
_TICK_S, _TICKS = 0.25, 600


class _Cluster:
    """A cluster with its connections and its caches, and the manager that runs for it, if one does."""

    def __init__(self) -> None:
        self.membership: Membership | None = None
        self.leased = 0
        """what its processes may have open"""
        self.open = 0
        self.connect_until = 0.0
        """until then processes may begin to make connections, as their manager told them last"""
        self.knows_leases = True
        self.caches_until = 0.0
        self.caches_of: int | None = None
        self.stands_still_until = 0.0
        self.connected_at: float | None = None
        """when the connections are there whose making has begun"""


class Clusters:
    """Each method is something that one cluster does, or that befalls it; time goes by with some of them."""

    def __init__(self) -> None:
        self.now = 0.0
        self.table = ClusterTable(lambda: self.now)
        self.clusters = {name: _Cluster() for name in _NAMES}
        # Reigns in which something was cached that another cluster has changed since.
        self.stale: set[int] = set()
        self.removed = 0

    def manager_starts(self, name: str) -> None:
        """The first, or one in the place of another; it knows of no lease that is out."""
        cluster = self.clusters[name]
        cluster.membership = Membership(name, self.now)
        cluster.knows_leases = cluster.leased == 0

    def manager_dies(self, name: str) -> None:
        """Processes and caches go on with what they were told."""
        self.clusters[name].membership = None

    def beats(self, name: str, sent_s_ago: float, heard: bool) -> None:
        """It may have stood still before that, and may not hear that it was stored."""
        cluster = self.clusters[name]
        membership = cluster.membership
        if membership is None:
            return
        sent_at, share = self.now, 0
        self.now += sent_s_ago

        def decide(members: Sequence[Member]) -> Beat:
            nonlocal share
            if membership.was_dropped(members):
                # Leases of before are void: their connections were ended, and none could be made since.
                assert cluster.open == 0, "a removed cluster has connections"
                cluster.leased, cluster.knows_leases = 0, True
            share = membership.share_of(members, _BUDGET)
            membership.lower(share)
            out = cluster.leased if cluster.knows_leases else 0
            return membership.beat(members, _BUDGET, share, out, self.now, sure=cluster.knows_leases)

        members = self.table.beat(name, "life", decide)
        if heard:
            membership.stored(members, share, sent_at)

    def leases(self, name: str, wanted: int) -> None:
        """The manager lets processes have so many, in its share; those above it come down as they renew."""
        cluster = self.clusters[name]
        membership = cluster.membership
        if membership is None or not membership.is_known:
            return
        if not cluster.knows_leases:
            # The recovery: what the new manager does not adopt is ended at the server.
            cluster.open = min(cluster.open, membership.share)
            cluster.leased, cluster.knows_leases = min(cluster.leased, membership.share), True
            cluster.connected_at = None
            return
        cluster.leased = min(wanted, membership.share)
        cluster.open = min(cluster.open, cluster.leased)
        cluster.connect_until = self.now + membership.rights_s(self.now)

    def connects(self, name: str, takes_s: float) -> None:
        """Processes begin to open all that they may; who began in time may end late, and then closes again."""
        cluster = self.clusters[name]
        if self.now < cluster.connect_until and cluster.connected_at is None:
            cluster.connected_at = self.now + takes_s

    def is_connected(self, name: str) -> None:
        """What was begun is there, as far as it is still leased."""
        cluster = self.clusters[name]
        if cluster.connected_at is not None and cluster.connected_at <= self.now:
            cluster.open, cluster.connected_at = max(cluster.open, cluster.leased), None

    def writes(self, name: str) -> None:
        """Whoever has a connection changes something: what others have cached before is stale."""
        if self.clusters[name].open:
            for other, cluster in self.clusters.items():
                if other != name:
                    assert not self.serves(cluster), f"{other} serves from its caches while {name} writes"
                    if cluster.caches_of is not None:
                        self.stale.add(cluster.caches_of)

    def asks_about_caches(self, name: str) -> None:
        """A shard hears whether it may serve, and under which number."""
        cluster = self.clusters[name]
        if cluster.membership is None or not cluster.membership.is_known:
            return
        reign = cluster.membership.reign(self.now)
        if reign.number is not None and reign.for_s > 0:
            assert reign.number not in self.stale, "what was cached before another's change is served again"
            cluster.caches_of, cluster.caches_until = reign.number, self.now + reign.for_s

    def removes_the_dead(self, name: str, gap_s: float) -> None:
        """It ends their connections, and removes them some time after."""
        cluster = self.clusters[name]
        if cluster.membership is None:
            return
        for member in cluster.membership.dead():
            # By what it saw; meanwhile the row may have changed.
            row = self.table.rows.get(member.name)
            if row is None or str(row.seen_at) != member.seen:
                continue
            self.is_connected(member.name)
            self.clusters[member.name].open = 0
            self.now += gap_s
            self.removed += self.table.remove(member)

    def goes_down(self, name: str) -> None:
        """All of it ends, and signs off."""
        self.clusters[name] = _Cluster()
        self.table.sign_off(name)

    def is_killed(self, name: str) -> None:
        """All of it ends; its row stays."""
        self.clusters[name] = _Cluster()

    def budget_is_kept(self) -> None:
        """All together, whatever each believes."""
        assert sum(cluster.open for cluster in self.clusters.values()) <= _BUDGET

    def caches_are_served_by_who_is_alone(self) -> None:
        """While one serves nobody else has a connection, so nobody else can write."""
        for name, cluster in self.clusters.items():
            if self.serves(cluster):
                assert not any(other.open for each, other in self.clusters.items() if each != name)

    def serves(self, cluster: _Cluster) -> bool:
        """Say whether its caches are served at this moment."""
        return self.now < cluster.caches_until


def _live(clusters: Clusters, draw: Random, name: str) -> None:
    """Let a cluster do what it does in a quarter of a second; now and then something goes wrong."""
    cluster, chance = clusters.clusters[name], draw.random
    if cluster.membership is None:
        if chance() < 0.02:
            clusters.manager_starts(name)
    elif clusters.now >= cluster.stands_still_until:
        if chance() < 0.5:
            clusters.beats(name, draw.choice([0.0, 0.0, 0.0, 0.5, 2.0]), chance() < 0.9)
        if chance() < 0.7:
            clusters.leases(name, draw.choice([0, _BUDGET // 2, _BUDGET, _BUDGET]))
        if chance() < 0.7:
            clusters.asks_about_caches(name)
        if chance() < 0.5:
            clusters.removes_the_dead(name, draw.choice([0.0, 0.0, 0.5, 11.0]))
    if chance() < 0.7:
        clusters.connects(name, draw.choice([0.0, 0.0, CONNECT_WITHIN_S - 0.1]))
    clusters.is_connected(name)
    if chance() < 0.7:
        clusters.writes(name)
    fault = chance()
    if fault < 0.005:
        clusters.manager_dies(name)
    elif fault < 0.0075:
        clusters.is_killed(name)
    elif fault < 0.0125:
        clusters.goes_down(name)
    elif fault < 0.0225:
        cluster.stands_still_until = clusters.now + draw.uniform(2, 25)


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_budget_and_caches_hold(seed: int) -> None:
    """Three clusters, for a hundred and fifty seconds and more: at every moment of it."""
    clusters, draw = Clusters(), Random(seed)
    for _ in range(_TICKS):
        clusters.now += _TICK_S
        for name in draw.sample(_NAMES, len(_NAMES)):
            _live(clusters, draw, name)
            clusters.budget_is_kept()
            clusters.caches_are_served_by_who_is_alone()


def test_the_simulation_sees_all_of_it() -> None:
    """Caches are served, several clusters have connections at once, some are removed, and what was cached is stale."""
    served = several = 0
    clusters, draw = Clusters(), Random(1)
    for _ in range(10 * _TICKS):
        clusters.now += _TICK_S
        for name in _NAMES:
            _live(clusters, draw, name)
        served += any(clusters.serves(each) for each in clusters.clusters.values())
        several += sum(each.open > 0 for each in clusters.clusters.values()) > 1
    assert served > _TICKS
    assert several > _TICKS
    assert clusters.removed > 10
    assert clusters.stale
