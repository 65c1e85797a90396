"""A backend to try the gateway with: it issues JWTs as any backend does, and knows no gateway."""
