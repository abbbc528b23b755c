"""The order of measurements."""

from __future__ import annotations

from tests.bench.driver import turns
from tests.bench.options import parse_options
from tests.bench.subjects import Subject
from tests.bench.target import Target


def test_each_round_starts_with_another_subject() -> None:
    """Subjects take turns within each number of connections, and none is always first."""
    subjects = [Subject(name, Target("http://127.0.0.1:1/", 200, {})) for name in "abc"]
    order = [(turn, connections, subject.name) for turn, connections, subject in turns(2, (1, 64), subjects)]
    assert order == [
        *((0, connections, name) for connections in (1, 64) for name in "abc"),
        *((1, connections, name) for connections in (1, 64) for name in "bca"),
    ]


def test_smoke_is_one_short_round() -> None:
    """It measures each subject once, without the second peer."""
    options = parse_options(["--smoke", "--rounds", "9"])
    assert (options.rounds, options.seconds, options.connections) == (1, 2.0, (64,))
    assert options.subjects == ("echo", "peer", "easypay")
