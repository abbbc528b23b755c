"""Exports: payments, refunds and events as Parquet, partitioned by day, for whoever analyses them."""
