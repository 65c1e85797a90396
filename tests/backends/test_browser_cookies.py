"""Pages of the site's own in Chromium, which send the key in a cookie without any code."""

from tests.backends.frontends import Page
from tests.backends.site import Backend

BACKEND = Backend("express_site", "node app.js")


def test_a_page_needs_no_code_for_its_key(page: Page) -> None:
    """After a login, all that a page asks for carries the key; after the logout, nothing does."""
    reply = page.run('return (await logIn("test", "test")).json();')
    assert reply["access_token"] == ""
    assert page.run("return document.cookie;") == ""
    assert page.run("return (await me()).username;") == "test"
    assert page.run('return (await post("/api/notes", {text: "hi"})).json();') == {"note": "hi"}
    assert page.run("return message(events());") == "hello test, /api/events"
    assert page.run("return message(chat());") == '{"user":"test","url":"/api/chat"}'
    shown = "const image = showAvatar(); await image.decode(); return image.naturalWidth;"
    assert page.run(shown) == 8
    assert page.run('return (await fetch("/api/report.csv")).text();') == "name,total\ntest,7\n"

    assert page.run("return (await logOut()).status;") == 204
    assert page.run('return (await fetch("/api/me")).status;') == 401
    assert page.run("return message(events());") == "refused"
    assert page.run("return message(chat());") == "refused"
