"""Django REST framework with simplejwt, as its "Getting started" has it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest

from tests.backends.site import Backend, Site

BACKEND = Backend("simplejwt", "python -m tests.backends.serve_django {port}")


def credentials_of(name: str) -> dict[str, str]:
    return {"username": name, "password": f"{name}'s password"}


def log_in(site: Site, name: str = "alice") -> Any:
    """Log in through the gateway and return the reply."""
    reply = site.ask("POST", "/api/token/", data=credentials_of(name))
    assert reply.status == 200, reply.body
    return reply.json


def test_the_backend_alone_hands_out_jwts(site: Site) -> None:
    """What this test is about: simplejwt's own reply is an access and a refresh JWT."""
    reply = site.ask("POST", "/api/token/", data=credentials_of("alice"), directly=True)
    assert reply.status == 200
    assert {name: token.count(".") for name, token in reply.json.items()} == {
        "access": 2,
        "refresh": 2,
    }


def test_log_in_call_and_log_out(site: Site) -> None:
    """The whole job: a key comes back, the backend sees its JWT, and a logout is at once."""
    reply = log_in(site)
    key = reply["access"]
    assert key.startswith("lk_")
    me = site.ask("GET", "/api/me/", key=key)
    seen = me.json
    assert (me.status, seen["username"]) == (200, "alice")
    scheme, _, token = seen["authorization"].partition(" ")
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (scheme, claims["token_type"]) == ("Bearer", "access")
    assert seen["user_id_field"] == str(claims["user_id"])
    sent = site.ask("POST", "/api/me/", data={"text": "한글"}, key=key)
    assert (sent.status, sent.json["sent"]) == (200, {"text": "한글"})
    # The blacklist's own answer: it has got the refresh token.
    out = site.ask("POST", "/api/token/blacklist/", key=key)
    assert (out.status, out.json) == (200, {})
    refused = site.ask("GET", "/api/me/", key=key)
    assert refused.status == 401
    assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
    assert site.ask("POST", "/api/token/blacklist/", key=key).status == 204


def test_the_jwt_itself_is_no_key(site: Site) -> None:
    """A JWT of the backend's opens nothing at the gateway."""
    reply = site.ask("POST", "/api/token/", data=credentials_of("alice"), directly=True)
    assert site.ask("GET", "/api/me/", key=reply.json["access"]).status == 401


def test_the_frontend_refreshes(site: Site) -> None:
    """TokenRefreshView rotates and blacklists; parallel tabs use each refresh token up once."""
    reply = log_in(site)
    key, refresh_key = reply["access"], reply["refresh"]
    with ThreadPoolExecutor(8) as tabs:
        answers = list(
            tabs.map(
                lambda _: site.ask("POST", "/api/token/refresh/", data={"refresh": refresh_key}),
                range(8),
            )
        )
    assert {answer.status for answer in answers} == {200}
    assert {frozenset(answer.json) for answer in answers} == {frozenset({"access", "refresh"})}
    assert {answer.json["access"] for answer in answers} == {key}
    again = site.ask("POST", "/api/token/refresh/", data=answers[-1].json)
    assert again.json["access"] == key
    assert site.ask("GET", "/api/me/", key=key).json["username"] == "alice"
    site.ask("POST", "/api/token/blacklist/", key=key)
    ended = site.ask("POST", "/api/token/refresh/", data=again.json)
    assert (ended.status, ended.json["code"]) == (401, "token_not_valid")


def test_a_refresh_token_of_the_backends_is_refused_as_by_simplejwt(site: Site) -> None:
    """It stays good at the backend, which has never seen it."""
    own = site.ask("POST", "/api/token/", data=credentials_of("alice"), directly=True).json
    refused = site.ask("POST", "/api/token/refresh/", data={"refresh": own["refresh"]})
    assert (refused.status, refused.json["code"]) == (401, "token_not_valid")
    path = "/api/token/refresh/"
    assert site.ask("POST", path, data={"refresh": own["refresh"]}, directly=True).status == 200


def test_two_devices_and_two_users_are_apart(site: Site) -> None:
    """Logging out on one device ends nothing on another, and users are not mixed up."""
    keys = {
        device: log_in(site, device.split("-")[0])["access"]
        for device in ("alice-1", "alice-2", "bob")
    }
    assert site.ask("POST", "/api/token/blacklist/", key=keys["alice-1"]).status == 200
    for device, status, name in (
        ("alice-1", 401, None),
        ("alice-2", 200, "alice"),
        ("bob", 200, "bob"),
    ):
        reply = site.ask("GET", "/api/me/", key=keys[device])
        assert (reply.status, reply.json.get("username")) == (status, name)


def test_a_refusal_is_djangos_own(site: Site) -> None:
    """A wrong password is answered as if there were no gateway."""
    wrong = {"username": "alice", "password": "wrong"}
    through = site.ask("POST", "/api/token/", data=wrong)
    alone = site.ask("POST", "/api/token/", data=wrong, directly=True)
    assert (through.status, through.body) == (alone.status, alone.body)
    assert through.status == 401
    assert through.headers["WWW-Authenticate"] == alone.headers["WWW-Authenticate"]
    missing = site.ask("POST", "/api/token/", data={})
    assert (missing.status, missing.json["username"]) == (400, ["This field is required."])


@pytest.mark.parametrize("path", ["/api/token", "/api//token/", "/api/%74oken/", "/api/TOKEN/"])
def test_no_other_spelling_leads_to_a_jwt(site: Site, path: str) -> None:
    """wire-rules.md#E1: a spelling of the login's path is the gateway's login, or is refused."""
    key = log_in(site)["access"]
    reply = site.ask("POST", path, data=credentials_of("alice"), key=key)
    assert reply.status in (400, 404) or reply.json["access"].startswith("lk_")
    assert b"eyJ" not in reply.body
