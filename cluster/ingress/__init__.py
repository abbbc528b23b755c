"""The hardened HTTP ingress: Ray Serve's HAProxy, with a configuration that may face a hostile client."""

from __future__ import annotations

from cluster.ingress.environment import environment
from cluster.ingress.policy import IngressOptions, IngressPorts

__all__ = ["IngressOptions", "IngressPorts", "environment"]
