"""Uses the gateway as merchants and operators do. A package, so that its gateway ends with its last test."""
