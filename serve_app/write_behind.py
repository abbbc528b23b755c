"""Which models are written behind, and what applies their writes. Replicas and shards go by the same list."""

from __future__ import annotations

from collections.abc import Mapping

from serve_app.caching.models import KEY_USAGE
from serve_app.caching.sink import Apply
from serve_app.merchants.usage import apply_key_usage

APPLIERS: Mapping[str, Apply] = {KEY_USAGE.name: apply_key_usage}
