"""How many shards the cache has: which ring is in force, who carries out its changes, and how all follow."""
