"""Batch jobs for the data team: `easypay job NAME`, or `ray job submit -- python -m cluster.jobs.NAME`."""
