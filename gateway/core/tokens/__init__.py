"""JWTs: read, verified and minted."""
