"""The options of one run, as the command line gives them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.bench.overload.scale import FULL, SMOKE, Scale

PARTS = ("slow", "flood", "cpu", "connections", "beside")
LOAD_MIN_S = 2


@dataclass(frozen=True, slots=True)
class Options:
    """Hold the options. ``processes`` share the load between them."""

    parts: tuple[str, ...]
    scale: Scale
    replicas: int
    processes: int
    seed: int
    json: bool
    enforce: bool


def parse_options(arguments: Sequence[str]) -> Options:
    """Parse the command line; ends the program with a message where it is wrong."""
    given = _parser().parse_args(arguments)
    values = vars(given)
    scale = SMOKE if values.pop("smoke") else FULL
    if (seconds := values.pop("seconds")) is not None:
        scale = replace(scale, load_s=seconds)
    if (at_once := values.pop("at_once")) is not None:
        scale = scale.with_processor(at_once)
    return Options(scale=scale, **values)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.bench.overload", description="Ask for more than there is.")
    parser.add_argument("--parts", type=_parts, default=PARTS, metavar=",".join(PARTS))
    parser.add_argument("--seconds", type=_seconds, metavar="60", help="length of a load past the knee")
    parser.add_argument(
        "--at-once",
        type=_positive,
        metavar="100",
        help="what the slow processor does, 200 ms each; fewer for slow machines",
    )
    parser.add_argument("--replicas", type=_positive, default=2)
    parser.add_argument("--processes", type=_positive, default=1, help="that generate the load")
    parser.add_argument("--seed", type=int, default=1, help="of the arrivals")
    parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
    parser.add_argument("--smoke", action="store_true", help="only see that it works: seconds, and a slower processor")
    parser.add_argument("--enforce", action="store_true", help="exit with 1 where something does not hold")
    return parser


def _seconds(text: str) -> int:
    # The first second of a load is not measured.
    if (seconds := int(text)) < LOAD_MIN_S:
        raise argparse.ArgumentTypeError(f"at least {LOAD_MIN_S}")
    return seconds


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _parts(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(PARTS):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return names
