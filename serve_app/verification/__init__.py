"""Verification: whether payments, refunds, books, events and settlements are what the attempts make of them."""
