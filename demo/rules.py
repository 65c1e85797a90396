"""Rules of the demo shop: who may read and edit the pages of a team.

    routes:
      - path: /teams/{team}/pages/*
        upstream: shop
        require: {rules: ./rules.py:may_edit}

`gateway rules test demo/rules.py:may_edit` tries the examples in rules.examples.yaml.
"""

from gateway.rules import Request

READS = frozenset({"GET", "HEAD"})


def may_edit(request: Request) -> bool:
    """Members read the pages of their teams; editors change them; admins do all of it."""
    if request.has("roles", "admin"):
        return True
    if not request.has("teams", request.params["team"]):
        return False
    return request.method in READS or request.has("roles", "editor")
