"""A backend to try the gateway with. It issues JWTs, as any backend does."""
