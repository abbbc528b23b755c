"""Circuit breakers of the cluster: one state for each name, which every process tells and hears."""
