"""Reads from replicas: which one may answer, and what it takes that nobody reads less than he wrote."""
