"""Which origins may be allowed, and which of a browser's are among them."""

import pytest

from gateway.core.http.allowed_origins import BadOrigin, hold, parse
from gateway.core.http.cors import Policy


@pytest.mark.parametrize(
    "text",
    [
        "https://app.example",
        "http://localhost:3000",
        "https://[::1]:8443",
        "https://*.preview.example",
        "https://*.preview.example:8443",
        "https://*.shop.co.uk",
        "https://*.team.vercel.app",
        "http://*.localhost:5173",
        "capacitor://localhost",
        "ionic://localhost",
        "tauri://localhost",
        "app://obsidian.md",
        "chrome-extension://nkbihfbeogaeaoehlefnkodbefgpgknn",
        "safari-web-extension://0E2B0AC2-0000-4000-8000-3A1A3A1A3A1A",
        "moz-extension://*",
    ],
)
def test_what_may_be_allowed(text: str) -> None:
    """Sites, apps and extensions, and names of one label more."""
    assert parse(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "",
        "app.example",
        "https://app.example/",
        "https://app.example/path",
        "https://user@app.example",
        "https://APP.example",
        "https://app-*.example.com",
        "https://*",
        "https://*.*.app.example",
        "https://a.*.app.example",
        "https://*app.example",
        "*://app.example",
        "*.app.example",
        "capacitor://*",
        "chrome-extension://*",
        "capacitor://",
        "capacitor://local/host",
        "file://",
        "file://localhost",
        "data://x",
        "blob:https://app.example",
        "javascript://app",
        "wss://app.example",
    ],
)
def test_what_is_no_origin(text: str) -> None:
    """`null` above all: pages that hide their origin share it."""
    with pytest.raises(BadOrigin, match="is not an origin"):
        parse(text)


@pytest.mark.parametrize(
    "parent",
    ["com", "example", "co.uk", "com.br", "or.kr", "vercel.app", "github.io", "pages.dev"],
)
def test_no_star_below_a_public_suffix(parent: str) -> None:
    """Anybody may have a name there."""
    for port in ("", ":8443"):
        with pytest.raises(BadOrigin, match="strangers"):
            parse(f"https://*.{parent}{port}")


ALLOWED = frozenset({"https://*.preview.example", "https://app.example", "capacitor://localhost"})


@pytest.mark.parametrize(
    ("origin", "is_allowed"),
    [
        ("https://pr-7.preview.example", True),
        ("https://xn--bcher-kva.preview.example", True),
        ("https://app.example", True),
        ("capacitor://localhost", True),
        ("https://preview.example", False),
        ("https://a.b.preview.example", False),
        ("https://.preview.example", False),
        ("https://-.preview.example", False),
        ("https://*.preview.example", False),
        ("https://evil-preview.example", False),
        ("https://pr-7.preview.example.evil.example", False),
        ("https://pr-7.preview.example:8443", False),
        ("https://evil.example/.preview.example", False),
        ("https://evil.example?.preview.example", False),
        ("https://evil@a.preview.example", False),
        ("http://pr-7.preview.example", False),
        ("HTTPS://PR-7.preview.example", False),
        ("ionic://localhost", False),
        ("capacitor://localhost:1", False),
        ("null", False),
        ("", False),
    ],
)
def test_which_origins_are_among_them(origin: str, is_allowed: bool) -> None:
    """A star is one label, and nothing else; scheme and port are the pattern's."""
    assert hold(ALLOWED, origin) is is_allowed
    policy = Policy(ALLOWED, (), (), (), credentials=True, max_age=0)
    assert policy.allows(origin) is policy.trusts(origin) is is_allowed
    assert ("Access-Control-Allow-Origin" in policy.answer(origin)) is is_allowed


def test_an_extension_of_firefox() -> None:
    """Each browser has a name of its own for it."""
    name = "moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc"
    assert hold({"moz-extension://*"}, name)
    assert not hold({"moz-extension://*"}, "moz-extension://evil")
    assert not hold(ALLOWED, name)
