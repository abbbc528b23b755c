"""Looks after the database: what is worth doing now, done one at a time, with a journal; knows no payments, no HTTP."""
