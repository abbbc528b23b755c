"""Webhooks: where merchants want to be told what happens, and how they are."""
