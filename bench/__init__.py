"""Measures what a request costs, in Latchkey and in other gateways.

It also measures what only Latchkey has: how soon a logout is felt, and what a session takes.

Run `python -m bench` from the repository's root. README.md tells how it measures and why that is
fair. The words: a *gateway* is Latchkey or one of its peers; a *ground* is what all of them share
(the upstream, Redis, the auth service); a *mode* is one kind of measurement.
"""
