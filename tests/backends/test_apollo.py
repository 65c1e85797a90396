"""Apollo Server with a JWT in its context: one path for logins, queries and its landing page."""

import json
from typing import Any

from tests.backends.site import Backend, Reply, Site

BACKEND = Backend("apollo", "node app.mjs")
LOGIN = "mutation ($username: String!, $password: String!) { %s }"


def ask(site: Site, query: str, *, key: str = "", **variables: Any) -> Reply:
    return site.ask("POST", "/", data={"query": query, "variables": variables}, key=key)


def log_in(site: Site, fields: str = "token user { username }", alias: str = "") -> Reply:
    login = f"{alias}login(username: $username, password: $password) {{ {fields} }}"
    return ask(site, LOGIN % login, username="alice", password="secret")


def test_log_in_call_and_log_out(site: Site) -> None:
    """The key takes the token's place, and the context knows its user until the logout."""
    login = log_in(site).json["data"]["login"]
    key = login["token"]
    assert (login["user"], key[:3]) == ({"username": "alice"}, "lk_")
    assert ask(site, "{ me { username } }", key=key).json["data"]["me"] == {"username": "alice"}
    assert site.ask("POST", "/logout", key=key).status == 204
    me = ask(site, "{ me { username } }", key=key)
    assert (me.status, me.json["errors"][0]["extensions"]["code"]) == (401, "UNAUTHENTICATED")


def test_what_needs_no_session_is_as_before(site: Site) -> None:
    """Queries, Apollo's own refusals and its landing page."""
    assert ask(site, "{ hello }").json == {"data": {"hello": "world"}}
    wrong = ask(
        site,
        LOGIN % "login(username: $username, password: $password) { token }",
        username="alice",
        password="x",
    )
    assert wrong.json["errors"][0]["message"] == "Wrong password"
    assert site.ask("GET", "/?query={hello}").status == 400  # its protection against CSRF
    headers = {"Apollo-Require-Preflight": "yes"}
    assert site.ask("GET", "/?query={hello}", headers=headers).json["data"] == {"hello": "world"}
    assert b"<!DOCTYPE html>" in site.ask("GET", "/", headers={"Accept": "text/html"}).body


def test_a_token_in_another_place_is_taken_out(site: Site) -> None:
    """Under an alias of the client's choice, or from another mutation."""
    for reply in (log_in(site, "t: token", "mine: "), ask(site, "mutation { invite { token } }")):
        assert reply.status == 200
        assert b"eyJ" not in reply.body
        assert "lk_" not in json.dumps(reply.json)
