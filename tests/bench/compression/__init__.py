"""What each codec makes of a page of payments and what it costs, and what compression costs where it does nothing."""
