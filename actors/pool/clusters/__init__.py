"""Clusters that share one database: who is there, what is whose part of the budget, and who may cache."""
