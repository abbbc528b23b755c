"""PostgreSQL and Redis on this machine, for a run that is given no servers."""
