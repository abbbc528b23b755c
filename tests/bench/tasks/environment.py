"""The environments of the peers, made once: one for each, for they want different versions of the same client."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.failure import BenchFailed

PACKAGES: Mapping[str, Sequence[str]] = {
    "procrastinate": ("procrastinate>=3.5,<4", "psycopg[binary,pool]>=3.2,<4"),
    "arq": ("arq>=0.26,<1",),
    "taskiq": ("taskiq>=0.11,<1", "taskiq-redis>=1.1,<2"),
}
_INSTALL_WITHIN_S = 600


def peer_python(peer: str) -> Path:
    """Return the interpreter of an environment that has this peer; make it where there is none.

    Raises:
        BenchFailed: it cannot be installed.
    """
    packages = PACKAGES[peer]
    folder = Path(tempfile.gettempdir()) / f"easypay-bench-{peer}"
    python = folder / "bin" / "python"
    done = folder / ".installed"
    if done.exists() and done.read_text(encoding="utf-8") == repr(packages):
        return python
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=_INSTALL_WITHIN_S)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uvloop", *packages]
        subprocess.run(command, check=True, timeout=_INSTALL_WITHIN_S, capture_output=True, text=True)
    except (subprocess.SubprocessError, OSError) as error:
        raise BenchFailed(f"{peer} cannot be installed: {getattr(error, 'stderr', None) or error}") from error
    done.write_text(repr(packages), encoding="utf-8")
    return python
