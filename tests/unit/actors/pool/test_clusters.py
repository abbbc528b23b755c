"""Who is on a database, and what is whose part: in virtual time."""

from __future__ import annotations

from collections.abc import Sequence

from actors.pool.clusters.membership import CONNECT_WITHIN_S, LEASE_S, RIGHTS_S, Beat, Member, Membership
from actors.pool.connector import Connector
from tests.support.cluster_table import ClusterTable


class Place:
    """The time, the table, and clusters that beat when they are told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.table = ClusterTable(lambda: self.now)


class Cluster:
    """One life of one manager, with as many connections out as the test says."""

    def __init__(self, place: Place, name: str, budget: int = 50) -> None:
        self._place = place
        self.name = name
        self.budget = budget
        self.membership = Membership(name, place.now)
        self.out = 0
        self.sure = True
        self.was_dropped = False

    def beat(self, *, sent_s_ago: float = 0.0, heard: bool = True) -> int:
        """Beat, twice where it joins; return the share."""
        sent_at, share, is_new = self._place.now - sent_s_ago, 0, False

        def decide(members: Sequence[Member]) -> Beat:
            nonlocal share, is_new
            self.was_dropped |= self.membership.was_dropped(members)
            share = self.membership.share_of(members, self.budget)
            self.membership.lower(share)
            now = self._place.now
            beat = self.membership.beat(members, self.budget, share, self.out, now, sure=self.sure)
            is_new = beat.is_new
            return beat

        members = self._place.table.beat(self.name, "life", decide)
        if not heard:
            return share
        self.membership.stored(members, share, sent_at)
        return self.beat() if is_new else share

    @property
    def reign(self) -> int | None:
        """The number under which it may serve from caches now."""
        reign = self.membership.reign(self._place.now)
        return reign.number if reign.for_s > 0 else None


def alone() -> tuple[Place, Cluster]:
    """Return a cluster that has everything."""
    place = Place()
    first = Cluster(place, "a")
    assert first.beat() == 50
    assert first.reign is not None
    first.out = 50
    return place, first


def until_acknowledged(place: Place, *clusters: Cluster) -> None:
    """Let as much time go by as caches may have been served for, with a beat a second."""
    for _ in range(int(RIGHTS_S) + 1):
        place.now += 1
        for cluster in clusters:
            cluster.beat()


def test_one_that_is_alone_has_all_at_once() -> None:
    """Its first beat joins, its second gives it the budget and a reign: nobody is waited for."""
    alone()


def test_one_that_joins_has_nothing_before_caches_are_silent_and_connections_are_there() -> None:
    """It gets what is free once the older one has acknowledged, and its part once that is there."""
    place, first = alone()
    second = Cluster(place, "b")
    assert second.beat() == 0
    place.now += 1
    assert first.beat() == 25
    assert first.reign is None
    assert second.beat() == 0
    first.out = 40
    until_acknowledged(place, first)
    assert second.beat() == 10
    assert second.reign is None
    first.out = 12
    first.beat()
    assert second.beat() == 25
    assert [(view.name, view.share) for view in second.membership.clusters] == [("a", 25), ("b", 25)]


def test_it_is_not_admitted_while_caches_may_still_be_served() -> None:
    """The permission of the beat before the join runs to its end first."""
    place, first = alone()
    first.out = 0
    second = Cluster(place, "b")
    second.beat()
    while place.now < RIGHTS_S - 0.5:
        place.now += 0.5
        first.beat()
        assert second.beat() == 0, place.now
    place.now += 0.5
    first.beat()
    assert second.beat() == 25


def test_what_is_left_over_goes_to_the_oldest() -> None:
    """Fifty among three are 17, 17 and 16."""
    place, first = alone()
    second, third = Cluster(place, "b"), Cluster(place, "c")
    for cluster in (first, second, third):
        cluster.beat()
    first.out = 0
    until_acknowledged(place, first, second, third)
    assert [first.beat(), second.beat(), third.beat()] == [17, 17, 16]


def test_the_least_budget_is_shared() -> None:
    """Whoever is set to less has all come down to that."""
    place, first = alone()
    second = Cluster(place, "b", budget=10)
    second.beat()
    first.out = 0
    until_acknowledged(place, first, second)
    assert (first.beat(), second.beat()) == (5, 5)


def test_one_that_signed_off_leaves_all_at_once_and_a_new_reign() -> None:
    """What was cached before it came is of another number."""
    place, first = alone()
    before = first.reign
    second = Cluster(place, "b")
    second.beat()
    first.out = 0
    until_acknowledged(place, first, second)
    place.table.sign_off("b")
    assert first.beat() == 50
    assert first.reign is not None
    assert first.reign != before


def test_rights_end_before_the_lease_by_more_than_a_connection_takes() -> None:
    """They count from before the beat was sent, by a clock of one's own."""
    place, first = alone()
    place.now += 2
    first.beat(sent_s_ago=1.5)
    assert first.membership.rights_s(place.now) == RIGHTS_S - 1.5
    place.now += RIGHTS_S - 1.5
    assert first.membership.rights_s(place.now) == 0
    assert first.reign is None
    assert Connector("").connect_timeout_s <= CONNECT_WITHIN_S == LEASE_S - RIGHTS_S


def test_one_that_was_silent_and_that_nobody_missed_goes_on_with_its_reign() -> None:
    """Its row is still there, so nobody has changed anything meanwhile."""
    place, first = alone()
    before = first.reign
    place.now += 60
    assert first.reign is None
    assert first.beat() == 50
    assert first.reign == before


def test_the_dead_are_removed_unless_they_have_beaten_since() -> None:
    """Their connections were ended before; one that came back in between may have some again."""
    place, first = alone()
    second = Cluster(place, "b")
    second.beat()
    place.now += LEASE_S + 0.1
    second.beat()
    (dead,) = second.membership.dead()
    first.beat()
    assert not place.table.remove(dead)
    place.now += LEASE_S + 0.1
    second.beat()
    (dead,) = second.membership.dead()
    assert place.table.remove(dead)
    assert second.beat() == 50
    assert second.reign is not None
    # It hears of that, has nothing, and comes last.
    assert first.beat() == 0
    assert first.was_dropped
    assert first.reign is None


def test_the_next_life_of_a_manager_goes_on_where_the_last_was() -> None:
    """With its share, with its reign, and without waiting; others than it knows of may be out under old leases."""
    place, first = alone()
    before = first.reign
    place.now += 3
    again = Cluster(place, "a")
    again.sure = False
    assert again.beat() == 50
    assert again.reign == before


def test_the_next_life_acknowledges_no_earlier_than_the_last_may_have_served() -> None:
    """It does not know when that beat last, only that it was before its own start."""
    place, first = alone()
    first.out = 0
    second = Cluster(place, "b")
    second.beat()
    place.now += 1
    again = Cluster(place, "a")
    again.beat()
    place.now += RIGHTS_S - 0.1
    again.beat()
    assert second.beat() == 0
    place.now += 0.1
    again.beat()
    assert second.beat() == 25


def test_what_may_be_out_under_unknown_leases_is_held() -> None:
    """Until its manager has looked, the new life holds what the last one held."""
    place, _first = alone()
    again = Cluster(place, "a")
    again.sure = False
    again.beat()
    second = Cluster(place, "b")
    second.beat()
    until_acknowledged(place, again, second)
    assert again.beat() == 25
    assert second.beat() == 0
    again.sure = True
    again.beat()
    assert second.beat() == 25


def test_caches_are_silent_from_the_moment_in_which_another_is_seen() -> None:
    """Also where it is not heard that the beat was stored."""
    place, first = alone()
    Cluster(place, "b").beat()
    first.beat(heard=False)
    assert first.reign is None
