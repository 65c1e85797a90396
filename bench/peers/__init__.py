"""The configuration of each gateway, and the one peer that is written in Python."""
