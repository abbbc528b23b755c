"""What a drill says of a fault and of the money."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from typing import Any
from unittest.mock import create_autospec

import psutil
import pytest

from cluster.cli.drill import report
from cluster.instance import marks
from cluster.trial import drill as drills
from cluster.trial.audit import compare
from cluster.trial.drill import Drilled
from cluster.trial.faults import FAULTS, Fault, Found, find
from cluster.trial.stream import Answer, Books
from cluster.trial.verdict import Money, Struck, judge, judge_all

_GENTLE = Fault("shard", Found.TITLE, "ray::X", "no error", False, 30)
_ROUGH = Fault("postgres", Found.CHILD, "postgres", "503", True, 5)


def _answer(sent: float, took: float = 0.1, status: int = 201, *, retry_after: bool = False) -> Answer:
    return Answer(sent, sent + took, status, retry_after, True)


def test_a_fault_that_nobody_noticed_holds() -> None:
    """Answers before it do not count, errors among them neither."""
    answers = [_answer(1, status=500), *(_answer(10 + n) for n in range(5)), _answer(30, status=500)]
    line = judge(Struck(_GENTLE, 10.0, 12.5, 20.0), answers)
    assert (line.faults, line.back_after_s, line.answers, line.errors) == ([], 2.5, 5, Counter())


def test_an_error_where_none_was_promised_does_not() -> None:
    """A lost answer is one; the request may have been on its way before."""
    line = judge(Struck(_GENTLE, 10.0, 12.5, 20.0), [_answer(9.9, 0.3, 0), _answer(11)])
    assert line.errors == {0: 1}
    assert line.faults == ["1 errors where none was promised"]


def test_errors_may_last_as_long_as_was_promised() -> None:
    """And a refusal has to say when to come again."""
    told = [_answer(10.5, status=503, retry_after=True), _answer(13, status=503, retry_after=True), _answer(14)]
    line = judge(Struck(_ROUGH, 10.0, 13.0, 20.0), told)
    assert line.faults == []
    assert line.served_after_s == pytest.approx(3.1)
    late = judge(Struck(_ROUGH, 10.0, 13.0, 20.0), [*told, _answer(15.5, status=503)])
    assert late.faults == ["errors for 5.6 s, and 5 s were promised", "1 refusals did not say when to come again"]


def test_silence_and_a_process_that_stays_away_are_told() -> None:
    """No answer is no success."""
    assert judge(Struck(_ROUGH, 10.0, None, 20.0), []).faults == ["nobody was answered", "it did not come back"]


def test_a_fault_is_not_blamed_for_the_next_ones_errors() -> None:
    """A request may be on its way from one into the next: it is what the next one did."""
    shard, postgres = Struck(_GENTLE, 10.0, 12.5, 20.0), Struck(_ROUGH, 20.0, 22.0, 30.0)
    on_its_way = _answer(19.9, 0.5, 503, retry_after=True)
    gentle, rough = judge_all([shard, postgres], [_answer(11), on_its_way, _answer(25)])
    assert (gentle.faults, gentle.errors, gentle.served_after_s) == ([], Counter(), 0.0)
    assert (rough.faults, rough.errors) == ([], {503: 1})
    assert judge_all([], [on_its_way]) == []
    assert judge_all([shard], [on_its_way])[0].errors == {503: 1}


def _books() -> Books:
    books = Books()
    for number in range(3):
        books.acknowledged[f"k{number}"] = {"id": f"pay_{number}", "status": "captured"}
    return books


def test_money_is_compared_by_id() -> None:
    """Each acknowledged payment has to be stored as captured."""
    captured = {"pay_0", "pay_1", "pay_2"}
    assert compare(_books(), 3, 0, 0, 0, captured).faults == []
    assert compare(_books(), 3, 0, 0, 0, captured - {"pay_1"}).faults == ["1 acknowledged payments are lost"]
    assert compare(_books(), 3, 1, 0, 2, captured).faults == ["1 have no outcome", "2 disagree with their postings"]


def test_a_second_charge_is_found_however_it_happened() -> None:
    """Twice for one payment, a second payment for one key, or two answers that contradict each other."""
    captured = {"pay_0", "pay_1", "pay_2"}
    assert compare(_books(), 3, 0, 1, 0, captured).charged_twice == 1
    assert compare(_books(), 4, 0, 0, 0, captured).charged_twice == 1
    books = _books()
    books.contradicted.append("k0")
    assert compare(books, 3, 0, 0, 0, captured).charged_twice == 1


def test_a_key_without_an_answer_is_told() -> None:
    """It may have a payment, so that one more than was acknowledged is no second charge."""
    books = _books()
    books.given_up.append("k3")
    money = compare(books, 4, 0, 0, 0, {"pay_0", "pay_1", "pay_2", "pay_3"})
    assert (money.charged_twice, money.faults) == (0, ["1 never got a final answer"])


def test_a_drill_held_if_everything_did() -> None:
    """The report says the same as the exit status."""
    good, bad = Money(3, 3, 3, 0, 0, 0, 0), Money(3, 3, 3, 1, 0, 0, 0)
    line = judge(Struck(_GENTLE, 10.0, 12.5, 20.0), [_answer(11)])
    assert report(Drilled([line], ["monitor"], good))["held"] is True
    assert report(Drilled([line], [], bad))["held"] is False
    assert report(Drilled([judge(Struck(_GENTLE, 10.0, None, 20.0), [_answer(11)])], [], good))["held"] is False


def test_there_is_a_fault_for_each_line_of_the_failure_table() -> None:
    """By names that an operator types."""
    assert [fault.name for fault in FAULTS] == [
        "replica",
        "shard",
        "pool-manager",
        "scheduler",
        "worker",
        "monitor",
        "redis",
        "postgres",
        "haproxy",
        "control-store",
    ]


def test_only_processes_of_this_gateway_are_found() -> None:
    """By the mark in their environment, and a child by the id that the launcher wrote down."""
    instance = f"test-{os.getpid()}"
    command = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with (
        subprocess.Popen(command, env={**os.environ, **marks(instance, "redis")}, **pipes) as ours,
        subprocess.Popen(command, env={**os.environ, **marks(f"{instance}-other", "redis")}, **pipes) as theirs,
    ):
        for process in (ours, theirs):
            assert process.stdout is not None
            process.stdout.readline()
        by_title = Fault("x", Found.TITLE, sys.executable, "", False, 1)
        assert [process.pid for process in find(by_title, instance)] == [ours.pid]
        by_id = Fault("redis", Found.CHILD, "redis", "", False, 1)
        ours_alone = find(by_id, instance, {"redis": {"pid": ours.pid}}, os.getpid())
        assert [process.pid for process in ours_alone] == [ours.pid]
        # One that another launcher has started since under the number that was written down.
        assert find(by_id, instance, {"redis": {"pid": theirs.pid}}, theirs.pid) == []
        assert find(by_id, instance, {}, os.getpid()) == []
        assert find(by_id, instance) == []
        for process in (ours, theirs):
            assert process.stdin is not None
            process.stdin.close()


def test_the_haproxy_that_takes_requests_is_struck() -> None:
    """The youngest: one that a reload displaced is replaced by nobody, and of other kinds any one will do."""
    haproxy = next(fault for fault in FAULTS if fault.name == "haproxy")
    displaced, gone, current, other = (create_autospec(psutil.Process, instance=True) for _ in range(4))
    displaced.create_time.return_value, current.create_time.return_value = 100.0, 200.0
    gone.create_time.side_effect = psutil.NoSuchProcess(1)
    assert haproxy.victim([displaced, gone, current]) is current
    found = _GENTLE.victim([other, current])
    other.create_time.assert_not_called()
    assert found is other


def _ended() -> psutil.Process:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = psutil.Process(child.pid)
        child.communicate(b"\n")
    return process


async def test_a_victim_that_has_ended_by_itself_is_no_end_of_the_drill(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is gone as it would be if it had been killed; what comes in its place is waited for."""
    told: list[str] = []
    victim = _ended()
    looks = [[victim], [psutil.Process()]]
    monkeypatch.setattr(drills, "_find", lambda *_: looks.pop(0) if len(looks) > 1 else looks[0])
    monkeypatch.setattr(drills, "is_ready", lambda _: True)
    target = create_autospec(drills.Target, instance=True, url="http://gateway")
    struck = await drills._strike(target, _GENTLE, 0.01, [], told.append)
    assert struck is not None
    assert struck.back_at is not None
    assert "had ended" in told[0]
