"""Reconciliation: an acquirer's report against our books."""
