"""The decision: match → admit → identify → authorise → prepare.

* `decision` tells the story; `browsers` and `forward_auth` are for two kinds of callers.
* match: `route_table` finds the `route` of a path.
* admit: `admission` looks at the load and at the request's size.
* identify: `identification` finds the session of a key, with `key_cookies` and `jwt_callers`.
* authorise: `authorization` compares the session with what the route requires.
* prepare: `upstream_request` writes the head for the upstream, with `route_tokens` and
  `caller_lines`.

`peer` is the other end of a client's connection, which all phases may ask.
"""
