"""The gateway: what merchants and operators talk to."""
