"""The gateway's own database: what is kept in order about it, and by which rules."""
