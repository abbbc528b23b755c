"""The benchmark: the gateway against the engine's limit and against the leanest service written by hand."""
