"""The names by which a gateway and its clusters are told apart, in PostgreSQL, in Redis and in browsers."""

from __future__ import annotations

from hashlib import blake2b

from cluster.settings import Settings


def gateway_name(settings: Settings) -> str:
    """Return a name that all clusters of one gateway share and no other gateway has: they take the same keys."""
    return _name(settings, "", b"gateway")


def cluster_name(settings: Settings) -> str:
    """Return a name that this cluster's processes share and no other cluster has, whichever database it is on.

    Connections are told apart by it, and caches, journals and epochs are kept under it: it is the same in every run.
    """
    return _name(settings, settings.cluster_name or "", b"cluster")


def _name(settings: Settings, what: str, kind: bytes) -> str:
    assert settings.api_key_pepper is not None, "API_KEY_PEPPER is set"
    pepper = settings.api_key_pepper.get_secret_value().encode()
    return f"easypay-{blake2b(pepper + what.encode(), digest_size=4, person=kind).hexdigest()}"
