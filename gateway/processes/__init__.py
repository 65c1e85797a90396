"""The supervisor and its workers.

* `supervisor` keeps generations of workers running, with `signals`, `listeners`, `replacements` and
  `store_keeper`; a `generation` is the workers of one configuration.
* `forking` starts a `worker`; `worker_link` carries the messages between the two.
"""
