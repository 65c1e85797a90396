"""Calls that the gateway makes itself: to backends and identity providers."""
