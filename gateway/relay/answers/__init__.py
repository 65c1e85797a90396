"""What clients get: heads, framing, and the relay's own answers."""
