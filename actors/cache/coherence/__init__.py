"""Keeps near copies and shards coherent: who holds what, which keys are changing, who is loading."""
