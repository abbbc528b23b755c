"""Families of metrics as text, in the format that the scraper asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.exposition import generate_latest as plain_text
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_text
from prometheus_client.registry import Collector

PLAIN = CONTENT_TYPE_PLAIN_0_0_4
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_OPENMETRICS_TYPE = "application/openmetrics-text"


def exposition(families: Iterable[Metric], content_type: str = PLAIN) -> bytes:
    """Return the families as text of one of the two types; of those with the same name, the first.

    Source: Prometheus exposition formats, text format 0.0.4; OpenMetrics 1.0.0.
    """
    # To a scraper two of one name are an error of all that it is told, and any code may choose a name.
    by_name: dict[str, Metric] = {}
    for family in families:
        by_name.setdefault(_exposed_name(family), family)
    # A registry for each answer: nothing of the process that is scraped gets in, as it would from the global one.
    registry = CollectorRegistry(auto_describe=False)
    if content_type == OPENMETRICS:
        registry.register(_Families([_apart(family, by_name) for family in by_name.values()]))
        text: bytes = openmetrics_text(registry)  # type: ignore[no-untyped-call] # The one function without types.
        return text
    registry.register(_Families(list(by_name.values())))
    return plain_text(registry)


def _exposed_name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def _apart(family: Metric, by_name: Mapping[str, Metric]) -> Metric:
    """Return the family as OpenMetrics can tell it apart from a gauge of the same name but for the ending `_total`:
    there the ending is no part of a counter's name, so its type is not told."""
    if family.type != "counter" or family.name not in by_name:
        return family
    untyped = Metric(_exposed_name(family), family.documentation, "unknown")
    untyped.samples = family.samples
    return untyped


def content_type_for(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return what to answer a scraper with: OpenMetrics where its Accept header names it, plain text otherwise.

    Prometheus names both and prefers OpenMetrics; who names neither gets what every tool reads. Versions are not looked
    at: whoever takes OpenMetrics at all takes 1.0.0.
    """
    accepted = b",".join(value for name, value in headers if name == b"accept").decode("latin-1").lower()
    return OPENMETRICS if any(map(_takes_openmetrics, accepted.split(","))) else PLAIN


def _takes_openmetrics(media_range: str) -> bool:
    kind, *parameters = (part.strip() for part in media_range.split(";"))
    return kind == _OPENMETRICS_TYPE and not any(_is_refusal(parameter) for parameter in parameters)


def _is_refusal(parameter: str) -> bool:
    """Whether it is a weight of 0, with which a client names what it does not take (RFC 9110, 12.4.2)."""
    name, _, weight = parameter.partition("=")
    return name == "q" and not weight.strip("0.")


class _Families(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
