"""Decisions without I/O, without a clock and without chance."""
