"""Spans that are kept as they end, in the test's own process."""

from __future__ import annotations

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from actors.runtime.tracing import SpanKind, Within, root


class Spans:
    """A tracer, and the spans that it made."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        provider = TracerProvider(sampler=ALWAYS_ON, resource=Resource({}), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracer = provider.get_tracer("tests")

    def request(self, name: str = "request") -> Within:
        """Return a block that is the first span of a new trace."""
        return root(self.tracer, name, SpanKind.SERVER)

    @property
    def ended(self) -> dict[str, ReadableSpan]:
        """The spans that have ended, by name, which each has to itself."""
        spans = self._kept.get_finished_spans()
        named = {span.name: span for span in spans}
        assert len(named) == len(spans), [span.name for span in spans]
        return named


def parent_id(span: ReadableSpan) -> int | None:
    """Return the id of a span's parent."""
    return None if span.parent is None else span.parent.span_id


def link_ids(span: ReadableSpan) -> list[int]:
    """Return the ids of the spans that it is linked to."""
    return [link.context.span_id for link in span.links]


def id_of(span: ReadableSpan) -> int:
    """Return a span's id."""
    context = span.get_span_context()
    assert context is not None
    return context.span_id
