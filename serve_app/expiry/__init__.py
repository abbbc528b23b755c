"""Authorizations that nobody captured in time."""
