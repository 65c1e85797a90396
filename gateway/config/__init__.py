"""The model of config.yaml, and how the file is read and checked."""
