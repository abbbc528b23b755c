"""Attempts: the two phases around the processor, from a durable intent to one recorded outcome."""
