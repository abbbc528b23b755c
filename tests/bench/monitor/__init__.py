"""What the monitor costs, and how true it is."""
