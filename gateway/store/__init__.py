"""Sessions at rest: Redis, the near cache, the embedded server."""
