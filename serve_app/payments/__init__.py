"""Payments: created, captured, voided, changed, read and listed."""
