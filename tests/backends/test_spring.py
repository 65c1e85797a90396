"""A resource server of Spring Security that issues its own tokens, as its sample "JWT Login"."""

from base64 import b64encode

from tests.backends.site import Backend, Site

BACKEND = Backend("spring", "java example.JwtLoginApplication --server.port={port}")


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + b64encode(f"user:{password}".encode()).decode()}


def test_log_in_call_and_log_out(site: Site) -> None:
    """The reply to Basic is the key alone; the resource server gets its JWT, until the logout."""
    reply = site.ask("POST", "/token", headers=basic("password"))
    key = reply.body.decode()
    assert (reply.status, key[:3], len(key.split())) == (200, "lk_", 1)
    assert site.ask("GET", "/", key=key).body == b"Hello, user!"
    assert site.ask("POST", "/logout", key=key).status == 204
    assert site.ask("GET", "/", key=key).status == 401


def test_a_wrong_password_is_the_backends_refusal(site: Site) -> None:
    """It is answered as if there were no gateway."""
    through = site.ask("POST", "/token", headers=basic("wrong"))
    alone = site.ask("POST", "/token", headers=basic("wrong"), directly=True)
    assert (through.status, through.body) == (alone.status, alone.body)
    assert through.headers["WWW-Authenticate"] == alone.headers["WWW-Authenticate"]
