"""Real libraries before and behind the gateway, unmodified, with the code of their tutorials.

Each module runs the block of docs/backends.md or docs/frontends.md that names it.
"""
