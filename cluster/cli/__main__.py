"""`python -m cluster.cli`: the command line where the script `easypay` is not installed."""

from __future__ import annotations

from cluster.cli import main

main()
