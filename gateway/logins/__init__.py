"""The ways to log in: one file each, named as in config.yaml."""
