"""Kills what the gateway is made of. A package, so that its gateways end with its last test."""
