"""Print, as shell commands, the environment that Ray's processes on one machine of a cluster need.

`eval "$(python -m cluster.node_environment DIRECTORY)"` before `ray start`, on every machine: the ingress is started
by a program of ours that lies in that directory and takes the openings out of what Serve would configure.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from cluster.ingress import IngressPorts, environment
from cluster.ray_head import ingress_options
from cluster.settings import load_settings


def main() -> None:
    """Write the `export` commands to standard output."""
    variables = environment(Path(sys.argv[1]), IngressPorts(), ingress_options(load_settings()))
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")


if __name__ == "__main__":
    main()
