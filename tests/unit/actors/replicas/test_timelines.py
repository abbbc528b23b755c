"""Which server may be written to."""

from __future__ import annotations

from actors.pool.servers.timeline import Standing, Timelines

PRIMARY_1 = Standing(system=7, in_recovery=False, timeline=1, lsn=100)
PRIMARY_2 = Standing(system=7, in_recovery=False, timeline=2, lsn=90)


def test_a_server_that_was_replaced_is_refused_for_ever() -> None:
    """However far it has written."""
    timelines = Timelines()
    assert timelines.admits(PRIMARY_1)
    assert timelines.admits(PRIMARY_2)
    assert not timelines.admits(PRIMARY_1)
    assert timelines.admits(PRIMARY_2)


def test_what_others_have_seen_forbids_too() -> None:
    """And is news once; what is lower is none."""
    timelines = Timelines()
    assert timelines.learn({7: 2})
    assert not timelines.learn({7: 2})
    assert not timelines.learn({7: 1})
    assert not timelines.admits(PRIMARY_1)
    assert timelines.all() == {7: 2}


def test_clusters_do_not_forbid_each_other() -> None:
    """Their timelines are their own."""
    timelines = Timelines()
    timelines.learn({8: 5})
    assert timelines.admits(PRIMARY_1)


def test_the_timeline_of_a_standby_is_not_noted() -> None:
    """It is nobody's successor before it is promoted."""
    timelines = Timelines()
    assert timelines.admits(Standing(system=7, in_recovery=True, timeline=3, lsn=1))
    assert timelines.admits(PRIMARY_1)
