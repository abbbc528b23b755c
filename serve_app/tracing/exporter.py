"""OpenTelemetry's SDK: spans leave in batches, from a thread, over OTLP. Loaded only where something is exported.

Every argument is given: what is not, the SDK reads from the environment, which is not ours to read here.
"""

from __future__ import annotations

import asyncio

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Tracer

from serve_app.tracing.config import TracingConfig

_QUEUE_MAX = 4096
"""Spans that wait for the collector; more are dropped, and no request waits."""
_BATCH_MAX = 512
_EVERY_MS = 1000
_LIMITS = SpanLimits(
    max_attributes=32,
    max_events=8,
    # As many as a batch has members.
    max_links=128,
    max_span_attributes=32,
    max_event_attributes=8,
    max_link_attributes=8,
    max_attribute_length=256,
    max_span_attribute_length=256,
)


class ChosenIds(RandomIdGenerator):
    """Ids of traces that are known before their first span: whether a request is traced goes by the id, and its log
    line has it also where it is not."""

    def __init__(self) -> None:
        self._chosen: int | None = None

    def choose(self, trace_id: int) -> None:
        """Have the next trace that is begun on this thread get this id."""
        self._chosen = trace_id

    def generate_trace_id(self) -> int:
        """Return the id that was chosen, once, or a new one."""
        chosen, self._chosen = self._chosen, None
        return super().generate_trace_id() if chosen is None else chosen


class Tracing:
    """The way out for the spans of one process. Its tracer records everything: whoever begins a trace has decided."""

    def __init__(self, config: TracingConfig, *, process: str) -> None:
        """Start the thread that exports; nothing is connected yet. ``process`` says what this process is."""
        exporter = OTLPSpanExporter(
            endpoint=config.endpoint,
            certificate_file=config.certificate,
            client_certificate_file=config.client_certificate,
            client_key_file=config.client_key,
            headers=dict(config.headers),
            timeout=config.timeout_s,
            compression=Compression(config.compression),
        )
        self.sample_ratio = config.sample_ratio
        self.ids = ChosenIds()
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=Resource({**config.resource, "easypay.process": process}),
            shutdown_on_exit=False,
            id_generator=self.ids,
            span_limits=_LIMITS,
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=_QUEUE_MAX,
                schedule_delay_millis=_EVERY_MS,
                max_export_batch_size=_BATCH_MAX,
                export_timeout_millis=config.timeout_s * 1000,
            )
        )
        self.tracer: Tracer = self._provider.get_tracer("easypay")

    async def close(self) -> None:
        """Export what is left; with a collector that does not answer that takes as long as one export may."""
        await asyncio.to_thread(self._provider.shutdown)
