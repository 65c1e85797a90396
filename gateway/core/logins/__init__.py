"""Logins: what was sent, what the reply says, where its token is."""
