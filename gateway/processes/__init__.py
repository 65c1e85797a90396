"""The supervisor and its workers.

* `supervisor` starts the gateway and watches over it; `signals`, `listeners` and `store_keeper` are
  what it keeps.
* `generations` of workers follow each other by `reloads`; a `generation` is the workers of one
  configuration. `control` is the socket at which `gateway reload` waits for the outcome.
* `worker_keeper` replaces workers that have ended, when `replacements` says so.
* `forking` starts a `worker`; `worker_link` carries the messages between the two.
"""
