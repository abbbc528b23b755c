"""The environment of the peers: made once, beside the system's other temporary files."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.failure import BenchFailed

PACKAGES = (
    "procrastinate>=3.5,<4",
    "psycopg[binary,pool]>=3.2,<4",
    "arq>=0.26,<1",
    "taskiq>=0.11,<1",
    "taskiq-redis>=1.1,<2",
)
_INSTALL_WITHIN_S = 600


def peers_python() -> Path:
    """Return the interpreter of an environment that has the peers; make it where there is none.

    Raises:
        BenchFailed: they cannot be installed.
    """
    folder = Path(tempfile.gettempdir()) / "easypay-bench-peers"
    python = folder / "bin" / "python"
    done = folder / ".installed"
    if done.exists() and done.read_text(encoding="utf-8") == repr(PACKAGES):
        return python
    try:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=_INSTALL_WITHIN_S)
        command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uvloop", *PACKAGES]
        subprocess.run(command, check=True, timeout=_INSTALL_WITHIN_S, capture_output=True, text=True)
    except (subprocess.SubprocessError, OSError) as error:
        raise BenchFailed(f"the peers cannot be installed: {getattr(error, 'stderr', None) or error}") from error
    done.write_text(repr(PACKAGES), encoding="utf-8")
    return python
