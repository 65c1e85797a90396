"""What config.yaml may say, and how it is read."""
