"""A processor over HTTP that approves, declines, fails and talks too much, as the token of a request says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_SLOW_S = 3.0


@dataclass
class HostileProcessor:
    """Says `word` wherever it can, and keeps the headers that it was sent."""

    word: str
    port: int = 0
    headers: list[dict[str, str]] = field(default_factory=list)
    working: threading.Event = field(default_factory=threading.Event)
    """Set while it takes its time over a charge."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def answer(self, token: str) -> tuple[int, bytes] | None:
        """Return a status and a body; None: the connection ends without any."""
        match token:
            case "tok_declined":
                return 200, json.dumps({"status": "declined", "code": self.word, "reference": self.word}).encode()
            case "tok_insufficient_funds":
                return 500, f"Traceback: {self.word}".encode()
            case "tok_expired_card":
                return 200, b'{"status": "' + self.word.encode()
            case "tok_processor_error":
                return 200, json.dumps({"status": "failed", "code": self.word, "retryable": False}).encode()
            case "tok_timeout_charged":
                return None
            case "tok_slow":
                self.working.set()
                time.sleep(_SLOW_S)
        return 200, json.dumps({"status": "approved", "reference": self.word}).encode()


@contextmanager
def hostile_processor(word: str) -> Iterator[HostileProcessor]:
    """Run one for as long as the block lasts."""
    processor = HostileProcessor(word)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.path.endswith("/refuse"):
                self._send(200, b'{"status": "refused"}')
                return
            asked: dict[str, Any] = json.loads(body)
            processor.headers.append({name.lower(): value for name, value in self.headers.items()})
            answer = processor.answer(asked["token"])
            if answer is None:
                self.close_connection = True
                return
            self._send(*answer)

        def do_GET(self) -> None:
            self._send(200, b'{"status": "not_found"}')

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    processor.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield processor
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
