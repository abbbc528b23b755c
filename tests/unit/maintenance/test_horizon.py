"""Who keeps dead rows for too long is named, and ended only by rule."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actors.maintenance.horizon import Holder, HorizonRules, Kind, is_news, judge
from actors.maintenance.step import Action
from tests.unit.maintenance.makers import NOW, past

_RULES = HorizonRules(seconds_max=600.0, xids_max=1000, roles=frozenset({"app", "owner"}), names=("easypay-1f/",))
_IDLE = Holder(Kind.IDLE_IN_TRANSACTION, "psql", "app", 7, NOW, 900.0, 50)
_LONG = replace(_IDLE, kind=Kind.STATEMENT, name="easypay-1f/ab/1/gateway-1")
_SLOT = Holder(Kind.REPLICATION_SLOT, "old_replica", None, None, None, None, 5000)


@pytest.mark.parametrize(
    ("holder", "action"),
    [
        (_IDLE, Action.END_SESSION),
        (replace(_IDLE, role="dba"), Action.NAME_HOLDER),
        (replace(_IDLE, role=None), Action.NAME_HOLDER),
        (_LONG, Action.END_SESSION),
        (replace(_LONG, role="dba"), Action.NAME_HOLDER),
        (replace(_LONG, name="pg_dump"), Action.NAME_HOLDER),
        (replace(_LONG, name="easypay-22/ab/1/gateway-1"), Action.NAME_HOLDER),
        (replace(_LONG, kind=Kind.STANDBY, role="owner"), Action.NAME_HOLDER),
        (_SLOT, Action.NAME_HOLDER),
        (replace(_SLOT, kind=Kind.PREPARED_TRANSACTION, role="app", seconds=900.0), Action.NAME_HOLDER),
    ],
)
def test_only_our_own_sessions_are_ended(holder: Holder, action: Action) -> None:
    """Of a role of ours what is idle in a transaction; what runs only under the name of one of our connections: a
    backup, a person, another gateway, a standby and a slot are named."""
    [(_, step)] = judge([holder], _RULES)
    assert step.action is action
    assert holder.name in step.target


def test_what_is_not_too_long_is_nothing() -> None:
    """By time where there is one, else by transactions."""
    short = [replace(_IDLE, seconds=599.0, xids=10**9), replace(_SLOT, xids=999), replace(_SLOT, xids=None)]
    assert judge(short, _RULES) == []
    assert judge([_IDLE], HorizonRules(seconds_max=901.0)) == []


def test_without_rules_nobody_is_ended() -> None:
    """No role and no name is ours."""
    assert [step.action for _, step in judge([_IDLE, _LONG], HorizonRules())] == [Action.NAME_HOLDER] * 2
    nameless = replace(_RULES, names=())
    assert [step.action for _, step in judge([_LONG], nameless)] == [Action.NAME_HOLDER]


def test_a_name_is_written_down_once_in_a_while_and_an_end_always() -> None:
    """An abandoned slot would fill the journal."""
    [(_, named)], [(_, ended)] = judge([_SLOT], _RULES), judge([_IDLE], _RULES)
    assert is_news(named, None, NOW, 3600.0)
    assert not is_news(named, past(3599), NOW, 3600.0)
    assert is_news(named, past(3600), NOW, 3600.0)
    assert is_news(ended, past(1), NOW, 3600.0)


def test_it_is_told_in_words() -> None:
    """With who, how and for how long."""
    told = [(step.target, step.reason) for _, step in judge([_IDLE, _SLOT], _RULES)]
    assert told == [
        ("psql (pid 7)", "idle in transaction of app keeps dead rows for 900 s"),
        ("old_replica", "replication slot of the server keeps dead rows for 5000 transactions"),
    ]
