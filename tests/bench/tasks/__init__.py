"""Tasks that do nothing, from enqueueing to completion, beside what others use for them."""
