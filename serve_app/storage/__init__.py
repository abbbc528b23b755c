"""The database: its schema, the migrations towards it, and the named statements of the slices."""
