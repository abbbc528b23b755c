"""A bounded store of values that decides what to keep by how often each key is used."""
