"""What is kept for a time, and then forgotten."""
