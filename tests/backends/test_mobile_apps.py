"""Native apps, and apps in a web view, whose pages have an origin with a scheme of its own."""

import pytest

from tests.backends.site import Backend, Site

BACKEND = Backend("express_site", "node app.js")
CREDENTIALS = {"username": "test", "password": "test"}


def test_a_native_app_needs_no_origin(site: Site) -> None:
    """The key stands in the reply, and works in a field."""
    key = site.ask("POST", "/login", data=CREDENTIALS).json["access_token"]
    assert site.ask("POST", "/api/notes", data={"text": "hi"}, key=key).status == 201


@pytest.mark.parametrize(
    "origin", ["capacitor://localhost", "ionic://localhost", "tauri://localhost"]
)
def test_a_web_view_may_log_in_and_ask(site: Site, origin: str) -> None:
    """Preflights and answers name its origin."""
    asked = {"Origin": origin, "Access-Control-Request-Headers": "authorization,content-type"}
    for path in ("/login", "/api/notes", "/logout"):
        preflight = {**asked, "Access-Control-Request-Method": "POST"}
        allowed = site.ask("OPTIONS", path, headers=preflight).headers
        assert allowed["Access-Control-Allow-Origin"] == origin
    reply = site.ask("POST", "/login", data=CREDENTIALS, headers={"Origin": origin})
    assert reply.headers["Access-Control-Allow-Origin"] == origin
    key = reply.json["access_token"]
    note = site.ask("POST", "/api/notes", data={}, key=key, headers={"Origin": origin})
    assert (note.status, note.headers["Access-Control-Allow-Origin"]) == (201, origin)


def test_another_apps_web_view_may_not(site: Site) -> None:
    """An origin that `cors` does not name is named in no answer."""
    reply = site.ask("POST", "/login", data=CREDENTIALS, headers={"Origin": "capacitor://other"})
    assert "Access-Control-Allow-Origin" not in reply.headers
