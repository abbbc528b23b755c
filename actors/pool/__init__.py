"""Connections to PostgreSQL: leased from one budget, and shared by the rows of concurrent requests."""
