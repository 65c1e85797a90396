"""What may be said of logouts."""

from pathlib import Path

import pytest

from gateway.config.load import load
from tests.support.configs import MINIMAL, problems, write
from tests.wire.vectors import cases

LOGIN = "login: {kind: backend, path: /login, upstream: shop}\n"


def test_one_logout_or_a_list(tmp_path: Path) -> None:
    """A single section stands for a list of one; without any there is `/logout`."""
    assert [logout.path for logout in load(write(tmp_path, MINIMAL), {}).logout] == ["/logout"]
    text = MINIMAL + "logout: {path: /bye, methods: DELETE}\n"
    [one] = load(write(tmp_path, text), {}).logout
    assert (one.path, one.methods, one.scope) == ("/bye", ("DELETE",), None)
    text = MINIMAL + "logout: [{path: /bye, scope: this}, {path: /bye/all, scope: all}]\n"
    assert [logout.scope for logout in load(write(tmp_path, text), {}).logout] == ["this", "all"]


@cases(
    "section",
    {
        "no backend to pass a reply of": ("{pass_reply: true}", "go with an upstream"),
        "no backend to send a token to": (
            "{send_refresh_token: json:refresh}",
            "go with an upstream",
        ),
        "members of no body": (
            "{upstream: shop, backend_path: /bye, body: {a: b}}",
            "goes with send_refresh_token",
        ),
        "OPTIONS": ("{methods: [POST, OPTIONS]}", "asks what may be done"),
        "no method": ("{methods: []}", "logout"),
        "no way to send": (
            "{upstream: shop, backend_path: /bye, send_refresh_token: query:x}",
            "is no way to send it",
        ),
        "two at one path": ("[{path: /bye}, {path: /bye}]", "is the path of logout as well"),
        "an upstream that is none": (
            "[{path: /bye}, {path: /out, upstream: shp, backend_path: /x}]",
            "names no upstream",
        ),
    },
    "message",
)
def test_what_cannot_be_meant(tmp_path: Path, section: str, message: str) -> None:
    """Each is told with its place."""
    [problem] = problems(tmp_path, MINIMAL + LOGIN + f"logout: {section}\n")
    assert message in problem


@pytest.mark.parametrize("login", ["", LOGIN.replace("upstream: shop", "upstream: other")])
def test_a_refresh_token_is_for_the_upstream_of_its_login(tmp_path: Path, login: str) -> None:
    """No login there means no such token."""
    text = MINIMAL.replace("{shop:", '{other: "http://127.0.0.1:9001", shop:') + login
    section = "{upstream: shop, backend_path: /bye, send_refresh_token: auto}"
    [problem] = problems(tmp_path, text + f"logout: {section}\n")
    assert "send_refresh_token" in problem
    assert "there are none" in problem


def test_a_route_at_a_logout_is_never_reached(tmp_path: Path) -> None:
    """Whichever of the logouts it is."""
    text = MINIMAL.replace("path: /*", "path: /bye/all") + "logout: [{}, {path: /bye/all}]\n"
    [problem] = problems(tmp_path, text)
    assert "is never reached: logout[1] answers there" in problem


@cases(
    "logout",
    {
        "DELETE beside a POST": "{path: /login, methods: DELETE}",
        "two by method": "[{path: /session, methods: DELETE}, {path: /session, methods: POST}]",
    },
)
def test_methods_share_a_path(tmp_path: Path, logout: str) -> None:
    """As `/session` of many backends: POST logs in, DELETE logs out."""
    load(write(tmp_path, MINIMAL + LOGIN + f"logout: {logout}\n"), {})


@cases(
    "logout",
    {
        "the same method": "{path: /login}",
        "HEAD follows GET": "[{path: /a, methods: GET}, {path: /a, methods: HEAD}]",
    },
)
def test_a_method_is_one_endpoints(tmp_path: Path, logout: str) -> None:
    """Only one of them could answer."""
    [problem] = problems(tmp_path, MINIMAL + LOGIN + f"logout: {logout}\n")
    assert "as well" in problem
