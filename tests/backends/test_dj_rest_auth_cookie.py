"""dj-rest-auth with JWTs in cookies alone, as single-page applications use it."""

from tests.backends.site import Backend, Site

BACKEND = Backend("dj_rest_auth", "python -m tests.backends.serve_django {port}")


def test_the_key_takes_the_cookies_place(site: Site) -> None:
    """`my-app-auth` carries the key to the gateway and the token to the backend."""
    from_page = {"Origin": site.url}
    credentials = {"username": "alice", "password": "alice's password"}
    reply = site.ask("POST", "/dj-rest-auth/login/", data=credentials, headers=from_page)
    assert "eyJ" not in f"{reply.headers} {reply.body!r}"
    cookies = reply.cookies
    assert cookies["my-app-auth"].startswith("lk_")
    user = site.ask("GET", "/dj-rest-auth/user/", cookies=cookies)
    assert (user.status, user.json["username"]) == (200, "alice")
    refreshed = site.ask(
        "POST", "/dj-rest-auth/token/refresh/", data={}, cookies=cookies, headers=from_page
    )
    assert refreshed.json["access"] == ""  # scripts cannot read the key
    cookies |= refreshed.cookies
    assert cookies["my-app-auth"].startswith("lk_")
    assert site.ask("GET", "/dj-rest-auth/user/", cookies=cookies).status == 200
    out = site.ask("POST", "/dj-rest-auth/logout/", cookies=cookies, headers=from_page)
    assert (out.status, out.cookies["my-app-auth"]) == (200, "")
    assert site.ask("GET", "/dj-rest-auth/user/", cookies=cookies).status == 401
