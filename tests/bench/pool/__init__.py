"""The pool beside PgBouncer and plain asyncpg, its reuse, and how its size follows a step of the load."""
