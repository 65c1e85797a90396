"""The data plane: the way of a request to an upstream, and of its answer.

* `server` listens, drains and ends; `setup` builds it from config.yaml.
* `client` finds requests in the bytes of a connection, and `http1` reads them.
* `exchange` is the life of one request: it asks `access` for the decision, sends the request over
  a connection of `upstream`, and renders the answer with `answers`.
* `logouts` ends sessions with a request, and exchanges with their session.
* `loop` has deadlines, writes and driving by hand, which all of them share; `outcomes` are the ends
  of a request without an upstream.
"""
