"""Reads by id: near, at a shard, and mixed with writes; with the cache and without it."""
