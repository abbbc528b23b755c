"""What the gateway does when more is asked of it than it can do: an open load, and what must hold under it."""
