"""Rules about HTTP messages, paths and addresses."""
