"""Sessions, keys and seals."""
