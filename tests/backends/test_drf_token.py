"""DRF's TokenAuthentication: a token of 40 digits, which says nothing of its user."""

from tests.backends.site import Backend, Site

BACKEND = Backend("drf_token", "python -m tests.backends.serve_django {port}", "Token")
ALICE = {"username": "alice", "password": "alice's password"}


def test_log_in_call_and_log_out(site: Site) -> None:
    """The frontend's `Token` is a key, the backend's its token; a logout ends that device."""
    token = site.ask("POST", "/api-token-auth/", data=ALICE, directly=True).json["token"]
    assert len(token) == 40
    keys = [site.ask("POST", "/api-token-auth/", data=ALICE).json["token"] for _ in range(2)]
    assert all(key.startswith("lk_") for key in keys)
    seen = site.ask("GET", "/api/seen/", key=keys[0])
    assert seen.json == {
        "Authorization": f"Token {token}",
        "X-User-Id": "1",
        "X-User-Name": "alice",
    }
    assert site.ask("POST", "/logout", key=keys[0]).status == 204
    assert [site.ask("GET", "/api/me/", key=key).status for key in keys] == [401, 200]


def test_the_token_itself_is_no_key(site: Site) -> None:
    """It opens nothing at the gateway."""
    token = site.ask("POST", "/api-token-auth/", data=ALICE, directly=True).json["token"]
    assert site.ask("GET", "/api/me/", key=token).status == 401


def test_all_devices_log_out(site: Site) -> None:
    """The gateway knows whose they are, by `userinfo`; another user stays."""
    bob = {"username": "bob", "password": "bob's password"}
    replies = [site.ask("POST", "/api-token-auth/", data=user) for user in (ALICE, ALICE, bob)]
    keys = [reply.json["token"] for reply in replies]
    assert site.ask("POST", "/logout?scope=all", key=keys[0]).status == 204
    assert [site.ask("GET", "/api/me/", key=key).status for key in keys] == [401, 401, 200]


def test_a_refusal_is_drfs_own(site: Site) -> None:
    """A wrong password is answered as if there were no gateway."""
    wrong = {"username": "alice", "password": "wrong"}
    through = site.ask("POST", "/api-token-auth/", data=wrong)
    alone = site.ask("POST", "/api-token-auth/", data=wrong, directly=True)
    assert (through.status, through.body) == (alone.status, alone.body) == (400, alone.body)
