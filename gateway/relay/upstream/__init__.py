"""Connections to upstreams.

* `pool` gives waiting requests connections to a `server`.
* `connection` sends a request, and reads the answer with `response_heads` and `response_body`.
* `response_handler` says what a connection knows of the exchange that it serves.
"""
