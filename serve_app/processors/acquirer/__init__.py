"""The simulator out of process: an acquirer behind HTTP with a ledger of its own on disk."""

from serve_app.processors.acquirer.app import AcquirerSettings, create_app
from serve_app.processors.acquirer.server import run

__all__ = ["AcquirerSettings", "create_app", "run"]
