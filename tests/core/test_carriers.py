"""How keys travel: by what the config says, by what the client says, by what it sends."""

import pytest

from gateway.core.logins.carriers import Choice, choose, deletion, key_cookie, trusted_cookies
from gateway.core.logins.token_places import parse_token_place

FORM = "application/x-www-form-urlencoded; charset=utf-8"


@pytest.mark.parametrize(
    ("choice", "content_type", "accept", "said", "carrier"),
    [
        ("auto", "application/json", "*/*", "", "reply"),
        ("auto", FORM, "text/html,application/xhtml+xml,*/*;q=0.8", "", "cookie"),
        ("auto", "multipart/form-data; boundary=x", "text/html", "", "cookie"),
        ("auto", FORM, "*/*", "", "reply"),
        ("auto", "", "", "", "reply"),
        ("auto", FORM, "application/json", "", "reply"),
        ("auto", FORM, "text/html, application/json", "", "cookie"),
        ("auto", FORM, "text/html;q=0", "", "reply"),
        ("auto", FORM, "text/html;q=0.0, */*", "", "reply"),
        ("auto", FORM, "text/html, */*", "XMLHttpRequest", "reply"),
        ("auto", FORM, "text/html, */*", "com.example.app", "cookie"),
        ("auto", "application/json", "*/*", "cookie", "cookie"),
        ("auto", "application/json", "*/*", " cookie", "cookie"),
        ("auto", FORM, "text/html", "reply", "reply"),
        ("auto", FORM, "text/html", " reply", "reply"),
        ("auto", FORM, "text/html", "com.example.app reply", "reply"),
        ("auto", FORM, "*/*", "XMLHttpRequest cookie", "cookie"),
        ("auto", FORM, "*/*", "reply cookie", "reply"),
        ("auto", FORM, "text/html", " nonsense", "cookie"),
        ("reply", FORM, "text/html", "cookie", "reply"),
        ("cookie", "application/json", "application/json", "reply", "cookie"),
    ],
)
def test_the_choice(
    choice: Choice, content_type: str, accept: str, said: str, carrier: str
) -> None:
    """JSON in, key in the reply; form in, cookie; and who says otherwise is heard: in
    X-Requested-With, or behind the space, in a field of the form.
    """
    requested_with, _, wanted = said.partition(" ")
    chosen = choose(
        choice,
        content_type=content_type,
        accept=accept,
        requested_with=requested_with,
        wanted=wanted,
    )
    assert chosen == carrier


@pytest.mark.parametrize(
    ("places", "secure", "names"),
    [
        ([], False, {"latchkey", "__Host-latchkey"}),
        ([], True, {"__Host-latchkey"}),
        (["/data/token", "header:X-Token"], True, {"__Host-latchkey"}),
        (["cookie:sid", "/token"], True, {"__Host-latchkey", "sid"}),
        (["cookie:latchkey"], False, {"latchkey", "__Host-latchkey"}),
        (["cookie:sid", "auto"], True, None),
    ],
)
def test_where_keys_are_taken(places: list[str], secure: bool, names: set[str] | None) -> None:
    """Where they are handed out, and over HTTPS not where a sibling host could put one."""
    read = [parse_token_place(place) for place in places]
    assert trusted_cookies("latchkey", read, secure=secure) == names


def test_the_cookie() -> None:
    """Over HTTPS no other site can set it; a script can read it nowhere."""
    cookie = key_cookie("session", secure=True)
    assert cookie.setting("k") == "__Host-session=k; Path=/; HttpOnly; SameSite=Lax; Secure"
    assert cookie.deletion == deletion("__Host-session")
    assert cookie.deletion == ("__Host-session=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax; Secure")
    assert deletion("session") == "session=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"
    plain = key_cookie("session", secure=False)
    assert plain.setting("k") == "session=k; Path=/; HttpOnly; SameSite=Lax"
