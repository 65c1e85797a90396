"""What config.yaml may say of how routes change requests and answers."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.load import load, load_with_warnings
from gateway.config.problems import ConfigError
from tests.support.configs import write

SERVER = "http://127.0.0.1:9000"


def config(servers: Any = SERVER, **route: Any) -> str:
    rule = {"path": "/x/*", "upstream": "api", **route}
    sections = {
        "version": 1,
        "upstreams": {"api": servers},
        "routes": [{name: value for name, value in rule.items() if value is not None}],
    }
    return yaml.safe_dump(sections, sort_keys=False)


def complaint(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(write(folder, text), {})
    return "\n".join(map(str, caught.value.problems)).replace(str(folder), "")


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ({"rewrite": "/items/${path.id}"}, "path /x/* has no ${path.id}"),
        ({"rewrite": "/items/${claims.sub}"}, "path /x/* has no ${claims.sub}"),
        ({"rewrite": "items/${path.*}"}, "begins with a slash"),
        ({"rewrite": "/items/{id}"}, "names segments as ${path.id}"),
        ({"rewrite": "/items?x=1"}, "is not a plain path"),
        ({"rewrite": "/../x"}, "is not a plain path"),
        ({"strip_prefix": "/x/{id}"}, "where clients fill segments in, use rewrite"),
        ({"rewrite": {"match": "(a*)*", "to": "/"}}, "repeats more than a letter"),
        ({"rewrite": {"match": "/x/(.*)", "to": "/$2"}}, "names a group that match does not have"),
        ({"rewrite": {"match": "/x", "to": "//evil/?x"}}, "to: "),
        ({"rewrite": {"match": "/x/(.*)", "to": "//$1"}}, "is not a plain path"),
        ({"rewrite": {"match": "/x/(.*)", "to": "/../$1"}}, "is not a plain path"),
        ({"rewrite": {"match": "x/(.*)", "to": "/$1"}}, "begins with a slash"),
        ({"rewrite": {"match": "/x/caf%c3%a9", "to": "/"}}, "has %c3, which no path has"),
        ({"rewrite": {"match": "/x/caf\u00e9", "to": "/"}}, "is not ASCII"),
        ({"rewrite": "/y", "strip_prefix": "/x"}, "rewrite stands for the whole path"),
        ({"add_prefix": "/v1", "upstream": None}, "upstream"),
        ({"add_prefix": "v1"}, "begins with a slash"),
    ],
)
def test_paths_that_cannot_be(tmp_path: Path, route: dict[str, Any], said: str) -> None:
    text = config(**route)
    if route.get("upstream", "") is None:
        text += "verify: {}\n"
    assert said in complaint(tmp_path, text)


@pytest.mark.parametrize(
    ("upstream", "said"),
    [
        ({"servers": [SERVER, SERVER + "/base"]}, "have the same path"),
        (SERVER + "/../base", "has a path with dots"),
        (SERVER + "/base?x", "is not a server"),
        ({"servers": SERVER, "host": "a b"}, "host"),
        ({"servers": SERVER, "host": "a\r\nX: y"}, "host"),
    ],
)
def test_upstreams_that_cannot_be(tmp_path: Path, upstream: Any, said: str) -> None:
    assert said in complaint(tmp_path, config(upstream))


def test_a_base_path_is_that_of_all_servers(tmp_path: Path) -> None:
    servers = [SERVER + "/base/", "http://127.0.0.1:9001/base"]
    assert load(write(tmp_path, config({"servers": servers})), {}).upstreams["api"].base == "/base"


def test_values_of_requests_stand_in_routes_alone(tmp_path: Path) -> None:
    """Elsewhere, such a text is a mistyped variable of the environment."""
    assert "a value for routes" in complaint(tmp_path, config() + "pages: {login: '/${path.id}'}\n")


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ({"respond": "x"}, "can have only one of upstream, respond and redirect"),
        ({"upstream": None, "respond": {"body": "x", "file": "y"}}, "has a body, or the file"),
        ({"upstream": None, "respond": {"status": 204, "body": "x"}}, "status 204 has none"),
        ({"upstream": None, "respond": {"status": 101}}, "status"),
        ({"upstream": None, "respond": {"file": "no.txt"}}, "file: cannot be read: No such"),
        ({"upstream": None, "respond": {"file": "."}}, "cannot be read: Is a directory"),
        ({"upstream": None, "respond": "x" * (2**20 + 1)}, "is too long"),
        ({"upstream": None, "respond": {"headers": {"Content-Length": "1"}}}, "itself sends"),
        ({"upstream": None, "respond": {"headers": {"X-A": "a\r\nb"}}}, "is no field value"),
        ({"upstream": None, "redirect": "//evil.example"}, "is no target"),
        ({"upstream": None, "redirect": "/\\evil.example"}, "is no target"),
        ({"upstream": None, "redirect": "javascript:x"}, "is no target"),
        ({"upstream": None, "redirect": "https://${path.*}/x"}, "is no target"),
        ({"upstream": None, "redirect": "https://id.example${path.*}"}, "is no target"),
        ({"upstream": None, "redirect": "${path.*}"}, "is no target"),
        ({"upstream": None, "redirect": "https://id.example:65536/"}, "is no target"),
        ({"upstream": None, "redirect": "/${path.id}"}, "path /x/* has no ${path.id}"),
        ({"upstream": None, "redirect": "/${claims.sub}"}, "can hold"),
        ({"upstream": None, "redirect": "/${query}/x"}, "has ${query} at its end"),
        ({"upstream": None, "redirect": {"to": "/", "status": 304}}, "status"),
        ({"maintenance": {"retry_after": "0s"}}, "retry_after"),
        ({"maintenance": {"after": "1s"}}, "after"),
    ],
)
def test_answers_that_cannot_be(tmp_path: Path, route: dict[str, Any], said: str) -> None:
    assert said in complaint(tmp_path, config(**route))


def test_a_file_that_each_slow_client_would_hold(tmp_path: Path) -> None:
    """An answer is written as a whole, so its size is limited when the file is checked."""
    (tmp_path / "large").write_bytes(bytes(2**20 + 1))
    text = config(upstream=None, respond={"file": "large"})
    assert "respond.file: cannot be read: is larger than 1 MiB" in complaint(tmp_path, text)


@pytest.mark.parametrize("answer", [{"respond": "x"}, {"redirect": "/y"}])
@pytest.mark.parametrize(
    ("setting", "value"), [("request_headers", {"remove": "X"}), ("compress", True), ("via", False)]
)
def test_settings_that_need_an_upstream(
    tmp_path: Path, answer: dict[str, Any], setting: str, value: Any
) -> None:
    """They change nothing where the gateway itself answers: a warning."""
    text = config(upstream=None, **answer, **{setting: value})
    _, warnings = load_with_warnings(write(tmp_path, text), {})
    assert f"routes[0].{setting}: changes nothing" in "\n".join(map(str, warnings))
    text = config(maintenance=True, **{setting: value})
    _, warnings = load_with_warnings(write(tmp_path, text), {})
    assert "changes nothing" not in "\n".join(map(str, warnings))


@pytest.mark.parametrize(
    ("hsts", "is_listed"),
    [
        ({"preload": True}, False),
        ({"preload": True, "subdomains": True, "max_age": "364d"}, False),
        ({"preload": True, "subdomains": True}, True),
        ({"max_age": "1d"}, True),
    ],
)
def test_preload_for_a_list_that_takes_it(
    tmp_path: Path, hsts: dict[str, Any], is_listed: bool
) -> None:
    text = config(security_headers={"hsts": hsts})
    _, warnings = load_with_warnings(write(tmp_path, text), {})
    found = [str(one) for one in warnings if "security_headers.hsts.preload" in str(one)]
    assert bool(found) is not is_listed


@pytest.mark.parametrize("setting", ["strip_prefix", "add_prefix"])
def test_a_prefix_that_is_the_root(tmp_path: Path, setting: str) -> None:
    _, warnings = load_with_warnings(write(tmp_path, config(**{setting: "/"})), {})
    assert f"routes[0].{setting}: changes nothing" in "\n".join(map(str, warnings))


def test_a_route_that_is_answered_here_needs_no_upstream(tmp_path: Path) -> None:
    for answer in ({"respond": "x"}, {"redirect": "/y"}, {"maintenance": True}):
        load(write(tmp_path, config(**{"upstream": None, **answer})), {})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        *(
            ({"set": {name: "x"}}, "cannot change")
            for name in ("Authorization", "cookie", "Host", "Connection", "Content_Length", "TE")
        ),
        ({"add": {"Transfer-Encoding": "x"}}, "cannot change"),
        ({"remove": "X-Latchkey-Session"}, "cannot change"),
        ({"set": {"X-Forwarded-For": "x"}}, "cannot change"),
        ({"set": {"x_user_id": "x"}}, "holds identity"),
        ({"set": {"From": "${claims.email}"}}, "cannot change From"),
        ({"add": {"X-A": "${claims.email}"}}, "would stand beside the client's own"),
        ({"set": {"X-A": "x"}, "remove": "x_a"}, "names a field twice"),
        ({"set": {"X-A": "a\r\nX-B: c"}}, "is no field value"),
        ({"set": {"X-A": "caf\u00e9"}}, "is no field value"),
        ({"set": {"X-A": "${env.x}"}}, "lone $"),
        ({"set": {"X-A": "${session.key}"}}, "cannot hold ${session.key}"),
        ({"set": {"X-A": "${claims.}"}}, "cannot hold"),
        ({"set": {"X-A": "${path.id}"}}, "path /x/* has no ${path.id}"),
        ({"set": {"X A": "x"}}, "X A"),
    ],
)
def test_fields_that_cannot_be_changed(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    assert said in complaint(tmp_path, config(request_headers=changes))


@pytest.mark.parametrize(
    "name",
    [
        "Set-Cookie",
        "content-length",
        "Via",
        "Date",
        "Content-Encoding",
        "content_range",
        "Access-Control-Allow-Origin",
    ],
)
def test_fields_of_answers_that_cannot_be_changed(tmp_path: Path, name: str) -> None:
    for change in ({"set": {name: "x"}}, {"add": {name: "x"}}, {"remove": name}):
        assert "cannot change" in complaint(tmp_path, config(response_headers=change))


def test_values_of_a_session_need_one(tmp_path: Path) -> None:
    changes = {"set": {"X-A": "${subject}"}}
    assert "needs a session" in complaint(tmp_path, config(auth="public", request_headers=changes))


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"hsts": {"max_age": "-1s"}}, "max_age"),
        ({"frame_options": "ALLOW"}, "frame_options"),
        ({"referrer_policy": "a\r\nb"}, "is no field value"),
        ({"csp": "x"}, "csp: is not known here (known are frame_ancestors,"),
        ({"hsts": {"maxage": 1}}, "hsts.maxage: is not known here (did you mean max_age?)"),
        ({"referrer_policy": "none"}, "is no referrer policy"),
        ({"frame_ancestors": "'none'; script-src *"}, "would begin another directive"),
        ("on", "must be a section of names and values, or 'off'"),
    ],
)
def test_policies_that_cannot_be(tmp_path: Path, policy: dict[str, Any], said: str) -> None:
    """Each is one problem, where it stands: a section may be `off`, and is not told so."""
    problem = complaint(tmp_path, config(security_headers=policy))
    assert said in problem
    assert "\n" not in problem
