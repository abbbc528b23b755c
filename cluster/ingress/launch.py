"""Start HAProxy on a hardened configuration: what Serve runs in the place of the HAProxy binary.

Called by the script that `environment` writes: `launch.py BINARY POLICY ARGUMENT...`, where the arguments are
those that Serve gives HAProxy. The process becomes HAProxy, so its id and its end are those that Serve
watches. This runs at each reload in a bare interpreter (`-I -S`) and therefore imports the standard library
alone.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType


def main(arguments: list[str]) -> None:
    """Harden the configuration that `-f` names, then become HAProxy; exit with a message where that fails."""
    binary, policy, *rest = arguments
    if "-f" in rest:
        config = Path(rest[rest.index("-f") + 1])
        try:
            served = _harden_file(config, policy)
        except Exception as error:
            sys.exit(f"easypay: HAProxy is not started, its configuration cannot be hardened: {error}")
        if "-c" not in rest:
            if os.getppid() == 1:
                sys.exit("easypay: HAProxy is not started, its manager has gone")
            rest += _join_the_running(binary, config, served, reload="-sf" in rest)
    os.execv(binary, [binary, *rest])


def _harden_file(config: Path, policy_text: str) -> str:
    from cluster.ingress.hardening import harden
    from cluster.ingress.policy import HardeningPolicy

    hardened = harden(config.read_text(encoding="utf-8"), HardeningPolicy.from_json(policy_text))
    _write(config, hardened)
    return hardened


def _join_the_running(binary: str, config: Path, text: str, *, reload: bool) -> list[str]:
    """Return the arguments by which HAProxy replaces those that Serve does not know of, and set a guard
    beside it."""
    from cluster.ingress.guard import start_guard
    from cluster.ingress.hardening import serves_application
    from cluster.ingress.takeover import admin_socket, claim, predecessors

    admin = admin_socket(text)
    # HAProxy binds the socket before it sets the socket's mode; the folder keeps others out meanwhile.
    admin.parent.chmod(0o700)
    found = [] if reload else list(predecessors(admin))
    last = config.with_name(config.name + ".served")
    if serves_application(text):
        _write(last, text)
    elif found and last.exists():
        # A new manager starts with an empty configuration and hears of the application a moment later. The
        # one that it replaces knows the replicas, so nobody is turned away meanwhile.
        _write(config, last.read_text(encoding="utf-8"))
    claim(admin, os.getppid())
    # Ray ends the process group of an actor that died; HAProxy is to serve until its successor does.
    os.setpgid(0, 0)
    start_guard(binary, config, admin)
    if not found:
        return []
    return ["-sf", *(str(pid) for pid, _ in found), "-x", str(found[0][1])]


def _write(path: Path, text: str) -> None:
    draft = path.with_name(path.name + ".new")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(0o600)
    draft.replace(path)


def _skip_package_code() -> None:
    # Stand-ins for the packages, so that importing a module of this folder does not run their `__init__`,
    # which may import what a bare interpreter does not have.
    folder = Path(__file__).resolve().parent
    for name, path in (("cluster", folder.parent), ("cluster.ingress", folder)):
        package = ModuleType(name)
        package.__path__ = [str(path)]
        sys.modules[name] = package


if __name__ == "__main__":
    _skip_package_code()
    main(sys.argv[1:])
