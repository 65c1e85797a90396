"""Logouts that the relay sees, and what they end."""
