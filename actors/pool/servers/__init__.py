"""The servers that a database URL names, and which of them may be written to."""
