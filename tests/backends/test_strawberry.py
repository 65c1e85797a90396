"""Strawberry, with the login mutation and the permissions of its guides, at one path."""

from typing import Any

from tests.backends.site import Backend, Site

BACKEND = Backend("strawberry", "python -m uvicorn app:app --port {port}")

LOGIN = """
mutation ($username: String!, $password: String!) {
  login(username: $username, password: $password) {
    ... on LoginSuccess { user { username } token }
    ... on LoginError { message }
  }
}
"""


def graphql(site: Site, query: str, key: str = "", **variables: str) -> Any:
    asked = {"query": query, "variables": variables}
    return site.ask("POST", "/graphql", data=asked, key=key).json


def test_log_in_call_and_log_out(site: Site) -> None:
    """The path is open to anonymous queries, and its login mutation gives a key."""
    assert graphql(site, "{ hello }") == {"data": {"hello": "world"}}
    assert "errors" in graphql(site, "{ me { username } }")
    said = graphql(site, LOGIN, username="patrick", password="patrick")["data"]["login"]
    assert said["user"] == {"username": "patrick"}
    assert said["token"].startswith("lk_")
    me = graphql(site, "{ me { username } }", said["token"])
    assert me == {"data": {"me": {"username": "patrick"}}}
    assert site.ask("POST", "/logout", key=said["token"]).status == 204
    assert "lk_" not in str(graphql(site, "{ hello }", said["token"]))


def test_the_page_for_queries_is_there(site: Site) -> None:
    """GraphiQL is a GET at the same path."""
    page = site.ask("GET", "/graphql", headers={"Accept": "text/html"})
    assert (page.status, b"GraphiQL" in page.body) == (200, True)


def test_a_wrong_password_passes_and_counts(site: Site) -> None:
    """Though its reply is a success: the twelfth attempt has to wait, and queries need not."""
    for _ in range(11):
        reply = graphql(site, LOGIN, username="marco", password="guess")
        if "reason" in reply:
            break
        assert reply["data"]["login"] == {"message": "Something went wrong"}
    assert reply["reason"] == "too_many_attempts"
    assert graphql(site, "{ hello }") == {"data": {"hello": "world"}}


def test_an_alias_hides_no_token(site: Site) -> None:
    """It is removed at any other place than the configured one."""
    query = LOGIN.replace("login(", "mine: login(")
    said = graphql(site, query, username="patrick", password="patrick")
    assert said["data"]["mine"] == {"user": {"username": "patrick"}, "token": ""}
