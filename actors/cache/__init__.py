"""Values kept near their readers: a ring of shards, a near cache in each process, and transitions for writers."""
