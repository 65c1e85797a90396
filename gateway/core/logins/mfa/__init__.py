"""Logins in two steps: a password first, then a code (multi-factor authentication, MFA)."""
