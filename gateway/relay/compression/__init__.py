"""Compresses answers for the clients that take it."""
