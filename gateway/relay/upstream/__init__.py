"""Connections to upstream servers."""
