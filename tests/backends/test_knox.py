"""knox: each login has an opaque token of its own, which expires."""

import time
from datetime import datetime

from tests.backends.site import Backend, Site

BACKEND = Backend("knox", "python -m tests.backends.serve_django {port}", "Token")
ALICE = {"username": "alice", "password": "alice's password"}


def test_log_in_call_and_log_out(site: Site) -> None:
    """The reply keeps its shape; knox's own logout ends the session of that device."""
    replies = [site.ask("POST", "/api/auth/login/", data=ALICE).json for _ in range(2)]
    assert [sorted(reply) for reply in replies] == [["expiry", "token", "user"]] * 2
    keys = [reply["token"] for reply in replies]
    assert all(key.startswith("lk_") for key in keys)
    me = site.ask("GET", "/api/me/", key=keys[0]).json
    scheme, _, token = me["authorization"].partition(" ")
    assert (scheme, len(token), me["username"]) == ("Token", 64, "alice")
    assert me["user_id_field"] == "alice"
    out = site.ask("POST", "/api/auth/logout/", key=keys[0])
    assert (out.status, out.body) == (204, b"")
    assert [site.ask("GET", "/api/me/", key=key).status for key in keys] == [401, 200]


def test_the_session_ends_with_its_token(site: Site) -> None:
    """knox's tokens live ten hours, and a session twelve, unless `expiry` says less."""
    reply = site.ask("POST", "/api/auth/login/", data=ALICE).json
    expiry = datetime.fromisoformat(reply["expiry"]).timestamp()
    ends = site.ask("GET", "/whoami", key=reply["token"]).json["ends"]
    assert abs(datetime.fromisoformat(ends).timestamp() - expiry) < 60
    assert expiry - time.time() < 11 * 3600
