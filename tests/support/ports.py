"""Free ports."""

from __future__ import annotations

import random

from cluster.ports import PORTS, is_free


def free_port() -> int:
    """Return a TCP port on which nothing listens at this moment, and that no outgoing connection is given.

    One that the system chooses may be taken by a connection of any program before the server of a test listens.
    """
    return next(port for port in random.sample(PORTS, len(PORTS)) if is_free(port))
