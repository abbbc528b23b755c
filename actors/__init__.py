"""The library of stateful machinery on Ray: knows no payments and no HTTP."""
