"""What batch jobs have in common: pages that are repeated, progress, locks, files that are whole or not there."""
