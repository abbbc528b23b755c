"""Bodies of answers in fewer bytes, where that is expected to pay."""
