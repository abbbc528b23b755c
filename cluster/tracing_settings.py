"""The standard environment of an exporter of traces, as OpenTelemetry names it, and the share that is traced.

The SDK could read it by itself. But Ray's own processes, which have parts of OpenTelemetry in them, would read it too,
and it holds keys of the collector: so it goes the way of every other setting, and Ray does not see it.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import unquote

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

from serve_app.tracing.config import TracingConfig

_DEFAULT_ENDPOINT = "http://localhost:4318"
_TRACES_PATH = "/v1/traces"


def _pairs(text: str) -> dict[str, str]:
    """Return `name=value,name=value`, percent-encoded (OpenTelemetry specification, environment variables)."""
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if part.strip() and not (name.strip() and equals):
            raise ValueError("must be name=value, separated by commas")
        if part.strip():
            found[unquote(name.strip())] = unquote(value.strip())
    return found


def _check_pairs(secret: SecretStr) -> SecretStr:
    _pairs(secret.get_secret_value())
    return secret


def _check_endpoint(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return secret


def _check_resource(text: str) -> str:
    _pairs(text)
    return text


Endpoint = Annotated[SecretStr, AfterValidator(_check_endpoint)]
Headers = Annotated[SecretStr, AfterValidator(_check_pairs)]
Compression = Literal["none", "gzip", "deflate"]


class TracingSettings(BaseSettings):
    """Hold the settings of tracing. Without an endpoint nothing is exported and nothing is recorded."""

    # The share of requests that are traced whose caller has not decided it; failed and slow ones leave a span each.
    trace_sample_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01

    otel_sdk_disabled: bool = False
    # `otlp` without an endpoint means the collector of this machine.
    otel_traces_exporter: Literal["otlp", "none"] | None = None
    otel_exporter_otlp_endpoint: Endpoint | None = None
    otel_exporter_otlp_traces_endpoint: Endpoint | None = None
    otel_exporter_otlp_protocol: Literal["http/protobuf"] | None = None
    otel_exporter_otlp_traces_protocol: Literal["http/protobuf"] | None = None
    otel_exporter_otlp_headers: Headers | None = None
    otel_exporter_otlp_traces_headers: Headers | None = None
    # Milliseconds, as the specification has it; the SDK for Python takes seconds.
    otel_exporter_otlp_timeout: Annotated[float, Field(gt=0, le=60_000)] | None = None
    otel_exporter_otlp_traces_timeout: Annotated[float, Field(gt=0, le=60_000)] | None = None
    otel_exporter_otlp_compression: Compression | None = None
    otel_exporter_otlp_traces_compression: Compression | None = None
    otel_exporter_otlp_certificate: str | None = None
    otel_exporter_otlp_traces_certificate: str | None = None
    otel_exporter_otlp_client_certificate: str | None = None
    otel_exporter_otlp_client_key: str | None = None
    otel_service_name: str | None = None
    otel_resource_attributes: Annotated[str, AfterValidator(_check_resource)] = ""

    @model_validator(mode="after")
    def _check_client_certificate(self) -> Self:
        if (self.otel_exporter_otlp_client_certificate is None) != (self.otel_exporter_otlp_client_key is None):
            raise ValueError("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY need each other")
        return self


def tracing_config(settings: TracingSettings) -> TracingConfig | None:
    """Return where traces go, None where they go nowhere. What is said of traces alone wins."""
    endpoint = _endpoint(settings)
    if endpoint is None or settings.otel_sdk_disabled or settings.otel_traces_exporter == "none":
        return None
    headers = settings.otel_exporter_otlp_traces_headers or settings.otel_exporter_otlp_headers
    timeout_ms = settings.otel_exporter_otlp_traces_timeout or settings.otel_exporter_otlp_timeout or 10_000.0
    resource = _pairs(settings.otel_resource_attributes)
    name = settings.otel_service_name or resource.get("service.name") or "easypay"
    return TracingConfig(
        endpoint=endpoint,
        sample_ratio=settings.trace_sample_ratio,
        resource={**resource, "service.name": name},
        headers=_pairs(headers.get_secret_value()) if headers is not None else {},
        timeout_s=timeout_ms / 1000,
        compression=settings.otel_exporter_otlp_traces_compression or settings.otel_exporter_otlp_compression or "none",
        certificate=settings.otel_exporter_otlp_traces_certificate or settings.otel_exporter_otlp_certificate,
        client_certificate=settings.otel_exporter_otlp_client_certificate,
        client_key=settings.otel_exporter_otlp_client_key,
    )


def _endpoint(settings: TracingSettings) -> str | None:
    if settings.otel_exporter_otlp_traces_endpoint is not None:
        return settings.otel_exporter_otlp_traces_endpoint.get_secret_value()
    base = settings.otel_exporter_otlp_endpoint
    if base is None and settings.otel_traces_exporter is None:
        return None
    return (base.get_secret_value() if base is not None else _DEFAULT_ENDPOINT).rstrip("/") + _TRACES_PATH
