"""The query optimizer on databases that it has never seen."""
