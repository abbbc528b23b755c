"""How traces are exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TracingConfig:
    """Where traces go and how many; what may hold a password is left out of the representation.

    `endpoint` is the whole URL that takes OTLP over HTTP in protobuf; `certificate` is a file of authorities to trust,
    `client_certificate` and `client_key` are files that show who we are. `resource` are attributes of all spans, with
    the service's name. `sample_ratio` is the share of requests that are traced, from 0 to 1.
    """

    endpoint: str = field(repr=False)
    sample_ratio: float
    resource: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 10.0
    compression: str = "none"
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
