"""Which cache policy hits how often, on traces that are made from a seed."""
