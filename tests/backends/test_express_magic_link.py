"""Express with a link in a mail that sets a JWT in an httpOnly cookie, by jsonwebtoken."""

from tests.backends.site import Backend, Site

BACKEND = Backend("express_magic_link", "node app.js")

# What a browser says that comes from a site that shows mails.
VISIT = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


def link(site: Site) -> str:
    """Ask for a mail, at the path of the link."""
    reply = site.ask("POST", "/auth/magic", data={"email": "a@shop.example"})
    assert reply.json == {"message": "Look into your mail"}
    return site.ask("GET", "/mail", directly=True).body.decode()


def test_the_link_logs_in(site: Site) -> None:
    """Other sites may lead to it, and the backend's cookie holds the key."""
    reply = site.ask("GET", link(site), headers=VISIT)
    assert (reply.status, reply.headers["Location"]) == (302, "/")
    assert reply.cookies["token"].startswith("lk_")
    me = site.ask("GET", "/me", cookies=reply.cookies)
    assert (me.status, me.json) == (200, {"email": "a@shop.example"})


def test_only_a_visit_logs_in(site: Site) -> None:
    """A frame or an image of another site does not, and a wrong link makes no session."""
    for where in ("iframe", "image"):
        reply = site.ask("GET", link(site), headers={**VISIT, "Sec-Fetch-Dest": where})
        assert (reply.status, reply.cookies) == (403, {})
    reply = site.ask("GET", "/auth/magic?token=wrong", headers=VISIT)
    assert (reply.status, reply.cookies) == (400, {})
