"""Durable tasks: a queue in PostgreSQL, one scheduler that owns it, and workers that run what is due."""
