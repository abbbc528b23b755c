"""The acquirer as a process of its own: one uvicorn worker, one ledger."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serve_app.processors.acquirer.app import ABORT_KEY, AcquirerSettings, create_app
from serve_app.processors.acquirer.callbacks import CallbackTarget


class AbortableProtocol(HttpToolsProtocol):
    """Let the app cut its connection without a byte of answer, as a processor that dies would."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {ABORT_KEY: self.transport.abort}  # type: ignore[dict-item]


def run(
    host: str = "127.0.0.1",
    port: int = 8100,
    *,
    data_path: Path,
    latency_ms: float = 0.0,
    jitter_ms: float = 0.0,
    seed: int = 0,
    failure_rate: float = 0.0,
    concurrency: int = 1_000,
    callback_url: str | None = None,
    callback_secret: str = "",
) -> None:
    """Serve until a signal ends the process. Port 0 takes a free one. A ``callback_url`` is told what is finished.

    Prints one JSON line, {"url", "pid", "data_path"}, once it answers requests.
    """
    callbacks = CallbackTarget(callback_url, callback_secret) if callback_url is not None else None
    settings = AcquirerSettings(data_path, latency_ms, jitter_ms, seed, failure_rate, concurrency, callbacks=callbacks)
    with socket.create_server((host, port), backlog=2048) as listener:
        url = f"http://{host}:{listener.getsockname()[1]}"
        ready = json.dumps({"url": url, "pid": os.getpid(), "data_path": str(data_path)})
        app = create_app(settings, on_ready=lambda: print(ready, flush=True))
        config = uvicorn.Config(
            app,
            http=AbortableProtocol,
            lifespan="on",
            log_level="warning",
            access_log=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=2,
        )
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
