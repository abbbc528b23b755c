"""The query optimizer: finds the indexes that a workload lacks or pays for in vain, and keeps what a measure proves."""
