"""The options of one run, as the command line gives them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SUBJECTS = ("echo", "peer", "peer-cte", "easypay")


@dataclass(frozen=True, slots=True)
class Options:
    """Hold the options; `attach` names a file with what `easypay up --json` printed."""

    connections: tuple[int, ...]
    seconds: float
    rounds: int
    replicas: int
    subjects: tuple[str, ...]
    load: str
    json: bool
    enforce: bool
    attach: Path | None
    profile: Path | None


def parse_options(arguments: Sequence[str]) -> Options:
    """Parse the command line; ends the program with a message where it is wrong."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.profile and "easypay" not in given.subjects:
        parser.error("--profile needs easypay among the subjects")
    if given.smoke:
        given.connections, given.seconds, given.rounds = (64,), 2.0, 1
        # The second peer answers a doubt, not the question whether all of this works.
        given.subjects = tuple(name for name in given.subjects if name != "peer-cte")
    values = vars(given)
    del values["smoke"]
    return Options(**values)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.bench", description="Compare the gateway with its limits.")
    parser.add_argument("--connections", type=_numbers, default=(1, 64, 256), metavar="1,64,256")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a measured window")
    parser.add_argument("--rounds", type=int, default=3, help="times that the subjects take turns")
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--subjects", type=_subjects, default=SUBJECTS, metavar=",".join(SUBJECTS))
    parser.add_argument("--load", choices=("auto", "wrk", "built-in"), default="auto", help="load generator")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    parser.add_argument("--smoke", action="store_true", help="only see that it works: 2 s each, 64 connections")
    parser.add_argument("--enforce", action="store_true", help="exit with 1 where a target is missed")
    parser.add_argument("--attach", type=Path, metavar="FILE", help="use a running gateway: FILE is its `up --json`")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="profile a replica into a speedscope FILE")
    return parser


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _subjects(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(SUBJECTS):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return names
