"""The data plane: connections, heads, bodies, and the decision."""
