"""The rules of payments: pure values and functions, standard library only."""
