"""A client: its connection, and the requests that come over it."""
