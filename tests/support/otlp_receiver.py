"""A collector of traces: a real HTTP server that takes OTLP in protobuf and keeps every span."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.polling import eventually

PROTOBUF = "application/x-protobuf"


class OtlpReceiver:
    """What came. May be read from any thread."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resources: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.port = 0

    @property
    def endpoint(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT is to be."""
        return f"http://127.0.0.1:{self.port}"

    def take(self, headers: dict[str, str], body: bytes) -> None:
        """Keep a request's spans; raises where it is none."""
        plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        request = ExportTraceServiceRequest.FromString(plain)
        self.headers.append(headers)
        self.bodies.append(plain)
        for each in request.resource_spans:
            self.resources.append({pair.key: pair.value.string_value for pair in each.resource.attributes})
            for scope in each.scope_spans:
                self.spans += scope.spans

    def named(self, name: str) -> list[Span]:
        """Return the spans of a name."""
        return [span for span in list(self.spans) if span.name == name]

    def of_trace(self, trace_id: int) -> list[Span]:
        """Return the spans of a trace."""
        return [span for span in list(self.spans) if span.trace_id == trace_id.to_bytes(16, "big")]

    def wait_for(self, name: str, trace_id: int, within_s: float = 30.0) -> Span:
        """Wait for a span of a name in a trace."""
        found = eventually(
            lambda: [span for span in self.of_trace(trace_id) if span.name == name], bool, within_s=within_s
        )
        return found[0]


def attributes(span: Span) -> dict[str, object]:
    """Return a span's attributes as plain values."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in span.attributes}


@contextmanager
def otlp_receiver() -> Iterator[OtlpReceiver]:
    """Run a collector for as long as the block lasts."""
    receiver = OtlpReceiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            assert (self.path, headers["content-type"]) == ("/v1/traces", PROTOBUF)
            receiver.take(headers, body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("content-type", PROTOBUF)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
