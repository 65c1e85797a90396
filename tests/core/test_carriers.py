"""How keys travel: by what the config says, by what the client says, by what it sends."""

import pytest

from gateway.core.carriers import choose, key_cookie

FORM = "application/x-www-form-urlencoded; charset=utf-8"


@pytest.mark.parametrize(
    ("choice", "content_type", "accept", "wanted", "carrier"),
    [
        ("auto", "application/json", "*/*", "", "reply"),
        ("auto", FORM, "text/html,application/xhtml+xml,*/*;q=0.8", "", "cookie"),
        ("auto", "multipart/form-data; boundary=x", "text/html", "", "cookie"),
        ("auto", FORM, "*/*", "", "reply"),
        ("auto", "", "", "", "reply"),
        ("auto", FORM, "application/json", "", "reply"),
        ("auto", FORM, "text/html, application/json", "", "cookie"),
        ("auto", FORM, "text/html, */*", "XMLHttpRequest", "reply"),
        ("auto", "application/json", "*/*", "cookie", "cookie"),
        ("auto", FORM, "text/html", "reply", "reply"),
        ("reply", FORM, "text/html", "cookie", "reply"),
        ("cookie", "application/json", "application/json", "reply", "cookie"),
    ],
)
def test_the_choice(choice: str, content_type: str, accept: str, wanted: str, carrier: str) -> None:
    """JSON in, key in the reply; form in, cookie; and who says otherwise is heard."""
    chosen = choose(choice, content_type=content_type, accept=accept, wanted=wanted)  # type: ignore[arg-type]
    assert chosen == carrier


def test_the_cookie() -> None:
    """Over HTTPS nobody else can set it; nowhere can a script read it."""
    cookie = key_cookie("session", secure=True)
    assert cookie.setting("k") == "__Host-session=k; Path=/; HttpOnly; SameSite=Lax; Secure"
    assert cookie.deletion.startswith("__Host-session=; Max-Age=0; Path=/; ")
    plain = key_cookie("session", secure=False)
    assert plain.setting("k") == "session=k; Path=/; HttpOnly; SameSite=Lax"
