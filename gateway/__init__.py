"""Latchkey: an API gateway that turns JWT logout into a real logout."""

__version__ = "0.1.0"
