"""Sharing one worker's time fairly between clients."""
