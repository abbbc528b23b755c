"""What a drill shows: of each fault what merchants saw, and of all of them that no money went astray. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import NamedTuple

from cluster.trial.faults import Fault
from cluster.trial.stream import Answer


class Struck(NamedTuple):
    """When a process was killed, and until when its effects were looked for; ``back_at``: when another of its kind was
    there, None where none came in time. Times are the loop's."""

    fault: Fault
    at: float
    back_at: float | None
    until: float


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one fault. Seconds from the kill on; ``errors`` by what was answered, 0 for no answer."""

    fault: Fault
    back_after_s: float | None
    served_after_s: float
    answers: int
    errors: Counter[int]
    slowest_s: float
    refusals_without_retry_after: int

    @property
    def faults(self) -> list[str]:
        """Everything that was promised and did not hold."""
        found = []
        if self.answers == 0:
            found.append("nobody was answered")
        if self.errors and not self.fault.errors_allowed:
            found.append(f"{self.errors.total()} errors where none was promised")
        if self.served_after_s > self.fault.within_s:
            found.append(f"errors for {self.served_after_s:.1f} s, and {self.fault.within_s:g} s were promised")
        if self.back_after_s is None:
            found.append("it did not come back")
        if self.refusals_without_retry_after:
            found.append(f"{self.refusals_without_retry_after} refusals did not say when to come again")
        return found


def judge(struck: Struck, answers: Sequence[Answer], next_at: float = inf) -> Line:
    """Return what a fault did to the answers that ended after it, and to those that were on their way.

    What ended after the next kill, at ``next_at``, is that one's: who caused it cannot be told, and the next may be one
    where errors are allowed.
    """
    mine = [answer for answer in answers if struck.at <= answer.ended_at < next_at and answer.sent_at < struck.until]
    errors = [answer for answer in mine if answer.is_error]
    refusals = [answer for answer in errors if answer.status in (429, 503)]
    return Line(
        struck.fault,
        None if struck.back_at is None else struck.back_at - struck.at,
        max((answer.ended_at - struck.at for answer in errors), default=0.0),
        len(mine),
        Counter(answer.status for answer in errors),
        max((answer.ended_at - answer.sent_at for answer in mine), default=0.0),
        sum(not answer.has_retry_after for answer in refusals),
    )


def judge_all(struck: Sequence[Struck], answers: Sequence[Answer]) -> list[Line]:
    """Return what each of the faults did, which are in the order of their kills."""
    ends = [*(after.at for _, after in pairwise(struck)), inf]
    return [judge(each, answers, end) for each, end in zip(struck, ends, strict=False)]


@dataclass(frozen=True, slots=True)
class Money:
    """What the books say of all payments of a drill, against what was acknowledged."""

    keys: int
    acknowledged: int
    stored: int
    lost: int
    """acknowledged as captured, and not stored so"""
    charged_twice: int
    """payments with more than one successful charge, and keys with more than one payment"""
    open: int
    """still without an outcome"""
    unbalanced: int
    """payments that disagree with their postings"""

    @property
    def faults(self) -> list[str]:
        """Everything that is wrong with the money."""
        wrong = {
            f"{self.lost} acknowledged payments are lost": self.lost,
            f"{self.charged_twice} were charged twice": self.charged_twice,
            f"{self.open} have no outcome": self.open,
            f"{self.unbalanced} disagree with their postings": self.unbalanced,
            f"{self.keys - self.acknowledged} never got a final answer": self.keys - self.acknowledged,
        }
        return [text for text, count in wrong.items() if count]
