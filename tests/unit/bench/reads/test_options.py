"""The command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.reads.options import parse_options


def test_smoke_needs_one_gateway() -> None:
    """It compares no sizes, measures once, and leaves out what the other benchmark's smoke starts as well."""
    options = parse_options(["--smoke", "--rounds", "9"])
    assert (options.rounds, options.sizes, options.connections) == (1, (), (64,))
    assert options.subjects == ("served-peer", "easypay")


def test_profile_needs_the_gateway() -> None:
    """Without near hits of the gateway there is nothing to profile."""
    assert parse_options(["--profile", "file"]).profile == Path("file")
    with pytest.raises(SystemExit):
        parse_options(["--profile", "file", "--parts", "mixed"])
