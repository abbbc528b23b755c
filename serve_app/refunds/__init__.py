"""Refunds: money given back, whole or in parts."""
