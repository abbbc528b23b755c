"""Pure ASGI middleware, one concept a file."""
