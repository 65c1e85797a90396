"""One request and its answer.

* `exchange` is the life: decide → pass on → answer → end. `context` is what all exchanges share.
* `upload` sends the request: its head, its `request_body`, asked for by an `expectation`.
* `buffered_upload` keeps the body first, in a `body_buffer`.
* `delivery` brings the answer back; `tunnel` passes bytes both ways after a switch of protocols.
* `held_answer` has an answer wait: `token_retry` seeks another token for the request, or `logout`
  ends sessions.
* `stopping` refuses or answers what does not pass, at first or once a body is whole.
* `record` and `events` are what is told of a request.

`client_side` and `exchange_side` say what the parts know of a client's connection and of their
exchange.
"""
