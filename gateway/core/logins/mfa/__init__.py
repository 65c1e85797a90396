"""Logins in two steps: a password, then a code (MFA)."""
