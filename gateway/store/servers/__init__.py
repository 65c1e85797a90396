"""The ways to run Redis: one server, Sentinel, Cluster."""
