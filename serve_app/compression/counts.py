"""What was encoded and what it cost, counted for each route and codec."""

from __future__ import annotations

from dataclasses import dataclass, field

from actors.runtime.tallies import Series, Tallies
from serve_app.compression.coding import Codec
from serve_app.compression.policy import Refusal

BODIES = "compression_bodies"
INPUT_BYTES = "compression_input_bytes"
OUTPUT_BYTES = "compression_output_bytes"
SECONDS = "compression_seconds"
REFUSALS = "compression_refusals"


@dataclass(slots=True)
class Encoded:
    """Bodies of one route in one codec: how many, their bytes before and after, and the seconds of a processor."""

    bodies: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    took_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Counts:
    """Everything since the process started; routes are templates, so there are as many as were declared."""

    encoded: dict[tuple[str, Codec], Encoded] = field(default_factory=dict)
    refused: dict[tuple[str, Refusal], int] = field(default_factory=dict)

    def add(self, route: str, codec: Codec, change: Encoded) -> None:
        """Count a body, or a part of one."""
        total = self.encoded.setdefault((route, codec), Encoded())
        total.bodies += change.bodies
        total.bytes_in += change.bytes_in
        total.bytes_out += change.bytes_out
        total.took_s += change.took_s

    def refuse(self, route: str, why: Refusal) -> None:
        """Count a body that stayed as it was."""
        self.refused[route, why] = self.refused.get((route, why), 0) + 1

    def tallies(self) -> Tallies:
        """Return all of it as counters, which take the route and the codec or the reason for labels."""
        tallies: dict[Series, float] = {}
        for (route, codec), encoded in self.encoded.items():
            labels = (route, codec.value)
            tallies[Series(BODIES, labels)] = encoded.bodies
            tallies[Series(INPUT_BYTES, labels)] = encoded.bytes_in
            tallies[Series(OUTPUT_BYTES, labels)] = encoded.bytes_out
            tallies[Series(SECONDS, labels)] = encoded.took_s
        for (route, why), count in self.refused.items():
            tallies[Series(REFUSALS, (route, why.value))] = count
        return tallies
