"""The options of one run, as the command line gives them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PARTS = ("near", "shard", "mixed")
SUBJECTS = ("echo", "served-peer", "bare-peer", "easypay")


@dataclass(frozen=True, slots=True)
class Options:
    """Hold the options. ``sizes`` are those of the cache, in parts of the payments; empty: as small as may be, and
    compared with nothing."""

    parts: tuple[str, ...]
    subjects: tuple[str, ...]
    connections: tuple[int, ...]
    seconds: float
    rounds: int
    replicas: int
    load: str
    near_payments: int
    shard_payments: int
    payments: int
    sizes: tuple[float, ...]
    mixed_connections: int
    write_share: float
    paced: float
    warm_up: float
    seed: int
    json: bool
    enforce: bool
    profile: Path | None


def parse_options(arguments: Sequence[str]) -> Options:
    """Parse the command line; ends the program with a message where it is wrong."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.profile and not ("near" in given.parts and "easypay" in given.subjects):
        parser.error("--profile needs the near part with easypay")
    if given.smoke:
        given.connections, given.seconds, given.rounds = (64,), 1.0, 1
        given.shard_payments, given.payments, given.sizes, given.warm_up = 2000, 2000, (), 1.0
        # The other benchmark's smoke has an echo and a uvicorn; each more costs ten seconds of a minute.
        given.subjects = tuple(name for name in given.subjects if name in {"served-peer", "easypay"})
    values = vars(given)
    del values["smoke"]
    return Options(**values)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.bench.reads", description="Measure reads by id.")
    parser.add_argument("--parts", type=_parts, default=PARTS, metavar=",".join(PARTS))
    parser.add_argument("--subjects", type=_subjects, default=SUBJECTS, metavar=",".join(SUBJECTS), help="of near")
    parser.add_argument("--connections", type=_numbers, default=(1, 64), metavar="1,64", help="of the near part")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a measured window")
    parser.add_argument("--rounds", type=int, default=3, help="times that the subjects take turns")
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--load", choices=("auto", "wrk", "built-in"), default="auto", help="load generator")
    parser.add_argument("--near-payments", type=int, default=200, help="so few that they are held near")
    parser.add_argument("--shard-payments", type=int, default=20_000, help="so many that they are not")
    parser.add_argument("--payments", type=int, default=100_000, help="payments of the mixed load")
    parser.add_argument("--sizes", type=_shares, default=(0.3, 0.1, 0.01), metavar="0.3,0.1,0.01")
    parser.add_argument("--mixed-connections", type=int, default=16)
    parser.add_argument("--write-share", type=float, default=0.1, help="part of the mixed load that is PATCH")
    parser.add_argument(
        "--paced", type=float, default=0.15, help="also offered to all: this part of what goes without a cache"
    )
    parser.add_argument("--warm-up", type=float, default=180.0, help="seconds of reads before a mixed load, at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    parser.add_argument("--smoke", action="store_true", help="only see that it works: one gateway, 1 s each")
    parser.add_argument("--enforce", action="store_true", help="exit with 1 where a target is missed")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="profile near hits into a speedscope FILE")
    return parser


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _shares(text: str) -> tuple[float, ...]:
    return tuple(float(share) for share in text.split(","))


def _parts(text: str) -> tuple[str, ...]:
    return _names(text, PARTS)


def _subjects(text: str) -> tuple[str, ...]:
    return _names(text, SUBJECTS)


def _names(text: str, known: Sequence[str]) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(known):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return names
