"""Rate limits: a key's shard counts its window and lends permits, and processes spend what they were lent."""
