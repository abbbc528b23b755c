"""What every family of actors stands on: clock, errors, coalescing, typed clients."""
