"""Peers in the same shape. They run in an environment of their own, and import nothing of the gateway."""
