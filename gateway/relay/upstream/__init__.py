"""Connections to upstreams.

* `pool` gives requests connections to a `server`, or has them wait in `queues`.
* `dialler` opens new ones.
* `balancer` chooses the server, by its `policy`. Requests wait in `restarts` while none is reached.
* `streams` counts event streams and tunnels, and `names` follows the addresses of a name.
* `connection` sends a request, and reads the answer with `response_heads` and `response_body`.
  `unread` is the end of an answer that a broken connection has left.
* `response_handler` says what a connection knows of the exchange that it serves.
"""
