"""The same world as for the endpoints."""

from tests.endpoints.conftest import place

__all__ = ["place"]
