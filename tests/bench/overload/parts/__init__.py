"""The parts of the benchmark; each brings its own gateway up."""
