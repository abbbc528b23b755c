"""The cache's second level, in Redis: it outlives the actors, is sealed, and is written by comparison alone."""
