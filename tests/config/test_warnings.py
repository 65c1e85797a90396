"""What `gateway check` warns of: allowed, and less safe than it could be."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.load import load, load_with_warnings
from tests.support.configs import problems, write

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "README.md"


def config(**changes: Any) -> dict[str, Any]:
    """A configuration of which nothing is to be said; `changes` replace or add sections."""
    return {
        "version": 1,
        "upstreams": {"api": "http://127.0.0.1:9000"},
        "routes": [{"path": "/*", "upstream": "api"}],
        **changes,
    }


def warned(folder: Path, **changes: Any) -> list[str]:
    """The warnings, without the name of the file."""
    file = write(folder, yaml.safe_dump(config(**changes), sort_keys=False))
    return [
        str(problem).partition("config.yaml:")[2] for problem in load_with_warnings(file, {})[1]
    ]


def test_a_plain_configuration_has_no_warning(tmp_path: Path) -> None:
    """A warning is worth reading: the defaults give none."""
    assert warned(tmp_path) == []


def test_an_upstream_whose_certificate_is_not_checked(tmp_path: Path) -> None:
    """Who stands between could read every token."""
    upstream = {"servers": "https://api.example", "tls": {"verify": False}}
    [warning] = warned(tmp_path, upstreams={"api": upstream})
    assert warning.startswith("6:15: upstreams.api.tls.verify: accepts any certificate")


def test_a_pattern_of_origins_with_credentials(tmp_path: Path) -> None:
    """A test site may act as the site's visitors then; without credentials it only reads."""
    cors = {"origins": ["https://app.example", "https://*.preview.example"]}
    assert warned(tmp_path, cors=cors) == []
    [warning] = warned(tmp_path, cors={**cors, "credentials": True})
    assert "cors.origins[1]: lets each page there act as the site's visitors" in warning
    route = {"path": "/*", "upstream": "api", "cors": {**cors, "credentials": True}}
    [warning] = warned(tmp_path, routes=[route])
    assert "routes[0].cors.origins[1]: lets each page" in warning


def test_a_lenient_upstream(tmp_path: Path) -> None:
    """Another reader of its answers may read them in another way."""
    upstream = {"servers": "http://127.0.0.1:9000", "lenient": True}
    [warning] = warned(tmp_path, upstreams={"api": upstream})
    assert "upstreams.api.lenient: accepts responses that break HTTP/1.1" in warning
    upstream["lenient"] = False
    assert warned(tmp_path, upstreams={"api": upstream}) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"resolve": "5s"}, "upstreams.api.resolve: changes nothing: no server has a name"),
        ({"tls": {"server_name": "a.test"}}, "upstreams.api.tls: changes nothing: no server is"),
    ],
)
def test_settings_of_an_upstream_that_change_nothing(
    tmp_path: Path, changes: dict[str, Any], expected: str
) -> None:
    """A server that is an address, and one without TLS."""
    [warning] = warned(tmp_path, upstreams={"api": {"servers": "http://127.0.0.1:9000", **changes}})
    assert expected in warning
    there = {"servers": "https://api.localhost", **changes}
    assert warned(tmp_path, upstreams={"api": there}) == []


@pytest.mark.parametrize(
    ("upstream", "expected"),
    [
        ({"balance": "round_robin"}, "balance: changes nothing: there is one server"),
        ({"balance": {"sticky": "session"}}, "balance: changes nothing: there is one server"),
        ({"slow_start": "5s"}, "slow_start: changes nothing: there is one server"),
        ({"eject": {"after": 2}}, "eject: changes nothing: there is one server"),
        ({"retries": {"budget": "5%"}}, "retries: changes nothing: there is one server"),
        ({"servers": [{"url": "http://10.0.0.1", "weight": 2}]}, "servers: has a weight, which"),
        ({"servers": ["http://10.0.0.1", "http://10.0.0.1:80"]}, "servers[1]: is servers[0] once"),
        (
            {"servers": ["http://a.localhost", "http://b.localhost"], "host": "upstream"},
            "host: is a.loc",
        ),
        (
            {"servers": ["http://10.0.0.1", "http://10.0.0.2"], "eject": {"max_percent": "49%"}},
            "eject.max_percent: ejects no server: 49 % of 2 is less than one",
        ),
        ({"try_for": "2m"}, "try_for: is longer than most clients wait"),
        ({"breaker": {"errors": "5%", "of": 20}}, "breaker: opens when 1 of 20 requests fails"),
        ({"health": {"path": "/up", "timeout": "20s"}}, "health: has a timeout of 20 s"),
    ],
)
def test_settings_of_servers_that_are_odd(
    tmp_path: Path, upstream: dict[str, Any], expected: str
) -> None:
    """They change nothing, or not what they seem to."""
    upstream = {"servers": "http://10.0.0.1", **upstream}
    [warning] = warned(tmp_path, upstreams={"api": upstream})
    assert re.match(rf"\d+:\d+: upstreams\.api\.{re.escape(expected)}", warning), warning


@pytest.mark.parametrize(
    "upstream",
    [
        {
            "servers": "http://a.localhost",
            "resolve": "5s",
            "balance": "round_robin",
            "slow_start": "5s",
        },
        {"servers": ["http://10.0.0.1", "http://10.0.0.2"], "eject": {"max_percent": "50%"}},
        {"servers": ["http://10.0.0.1", "http://10.0.0.2"], "host": "shop.internal"},
        {
            "breaker": {"errors": "6%", "of": 20},
            "try_for": "1m",
            "health": {"path": "/up", "interval": "1s"},
        },
    ],
)
def test_settings_of_servers_that_are_fine(tmp_path: Path, upstream: dict[str, Any]) -> None:
    """A name with `resolve` may have several addresses."""
    upstream = {"servers": "http://10.0.0.1", **upstream}
    assert warned(tmp_path, upstreams={"api": upstream}) == []


def test_a_health_check_of_a_login(tmp_path: Path) -> None:
    """It is answered with 405, or counts as an attempt."""
    api = {"servers": "http://10.0.0.1/v1", "health": "/v1/login"}
    login = {"kind": "backend", "path": "/login", "upstream": "api", "token": "/token"}
    got = warned(tmp_path, upstreams={"api": api}, login=login)
    assert any("upstreams.api.health.path: is where logins are sent" in line for line in got)
    got = warned(tmp_path, upstreams={"api": {**api, "health": "/v1/up"}}, login=login)
    assert not any("health" in line for line in got)


def test_tunnels_without_places(tmp_path: Path) -> None:
    """Each upgrade would be refused."""
    api = {"servers": "http://10.0.0.1", "max_streams": 0}
    route = {"path": "/*", "upstream": "api", "websocket": True}
    [warning] = warned(tmp_path, upstreams={"api": api}, routes=[route])
    assert "routes[0]: lets tunnels through, and api has max_streams: 0" in warning
    assert warned(tmp_path, upstreams={"api": api}) == []


@pytest.mark.parametrize(
    ("options", "said", "setting"),
    [
        ({"tunnel_idle": "5m"}, "changes nothing: the route names no upgrade", "tunnel_idle"),
        ({"stream": True, "compress": True}, "changes nothing: streams stay", "compress"),
        ({"websocket": True, "methods": ["POST"]}, "opens no WebSocket", "websocket"),
        ({"upgrade": ["tcp", "websocket"], "methods": "POST"}, "opens no WebSocket", "upgrade"),
        ({"upgrade": "tcp", "methods": "POST", "tunnel_idle": "5m"}, "", ""),
        ({"websocket": True, "methods": ["GET", "POST"]}, "", ""),
    ],
)
def test_settings_of_streams_that_do_nothing(
    tmp_path: Path, options: dict[str, Any], said: str, setting: str
) -> None:
    got = warned(tmp_path, routes=[{"path": "/*", "upstream": "api", **options}])
    assert len(got) == bool(said), got
    assert all(f"routes[0].{setting}: {said}" in line for line in got)


def test_visits_from_other_sites(tmp_path: Path) -> None:
    """They may log a visitor in as another user; the hint says what prevents it."""
    login = {"kind": "backend", "path": "/callback", "upstream": "api", "token": "cookie:jwt"}
    visits = {**login, "methods": ["GET"], "cross_site": "allow"}
    assert warned(tmp_path, login={**login, "methods": ["GET"]}) == []
    [warning] = warned(tmp_path, login=visits)
    assert "login.cross_site: lets another site log its visitors in" in warning
    assert "(let it check a state" in warning


def test_visits_go_with_get(tmp_path: Path) -> None:
    login = {"kind": "backend", "path": "/callback", "upstream": "api", "cross_site": "allow"}
    text = yaml.safe_dump(config(login=login))
    assert any("methods must hold GET" in line for line in problems(tmp_path, text))


def test_any_number_of_sessions(tmp_path: Path) -> None:
    """One account could fill the store; the default is a number."""
    [warning] = warned(tmp_path, session={"max_per_subject": 0})
    assert warning.startswith("8:20: session.max_per_subject: lets one account fill the store")
    assert load(write(tmp_path, yaml.safe_dump(config())), {}).session.max_per_subject == 100


def test_a_backends_logout_that_is_undone(tmp_path: Path) -> None:
    """A revoked token is refused for good, unless config.yaml says otherwise."""
    [warning] = warned(tmp_path, session={"renew_on_upstream_401": True})
    assert "session.renew_on_upstream_401: replaces tokens that a backend has revoked" in warning


def test_logins_whose_failures_are_not_counted(tmp_path: Path) -> None:
    """Each place that says so, if there is a login that it concerns."""
    login = {"kind": "backend", "path": "/login", "upstream": "api", "token": "/token"}
    logins = [
        {
            **login,
            "verify": {"secret": "a secret of the tests, long enough"},
            "subject_prefix": "a:",
        },
        {**login, "path": "/b", "guessing": "off", "subject_prefix": "b:"},
    ]
    got = warned(tmp_path, login=logins, guessing="off")
    places = [line.split(": ")[1] for line in got if "lets passwords be guessed" in line]
    assert sorted(places) == ["guessing", "login[1].guessing"]
    got = warned(tmp_path, login=[logins[0]], guessing={"per_address": 5})
    assert not any("guessed" in line for line in got)
    assert warned(tmp_path, guessing="off") == []


@pytest.mark.parametrize(
    ("networks", "expected"),
    [
        (["0.0.0.0/0"], 1),
        (["::/0", "10.0.0.0/8"], 1),
        (["0.0.0.0/1", "128.0.0.0/1", "2000::/3"], 3),
        (["10.0.0.0/8", "172.16.0.0/12", "fc00::/7", "unix", "127.0.0.1"], 0),
    ],
)
def test_networks_that_are_too_large(tmp_path: Path, networks: list[str], expected: int) -> None:
    """Clients come from there as well, and would choose their addresses, or be told tokens."""
    got = warned(tmp_path, trusted_proxies=networks)
    assert len(got) == expected
    assert all("trusted_proxies[" in warning for warning in got)
    assert all("trusts clients as well" in warning for warning in got)
    assert len(warned(tmp_path, verify={"trusted": networks})) == expected


@pytest.mark.parametrize(
    ("mode", "proxies", "expected"),
    [
        ("0660", ["unix"], ""),
        ("0666", ["unix", "10.0.0.0/8"], "lets any process of this machine choose its address"),
        ("0660", ["10.0.0.0/8"], "gives all clients one address"),
        ("0666", [], "gives all clients one address"),
    ],
)
def test_a_unix_socket(tmp_path: Path, mode: str, proxies: list[str], expected: str) -> None:
    """Its peer has no address: a proxy has to say whose request it is, and no other process may."""
    listen = [{"address": "unix:/run/a.sock", "mode": mode}, ":8080"]
    got = warned(tmp_path, listen=listen, trusted_proxies=proxies)
    assert len(got) == bool(expected)
    assert all(expected in warning and "listen[0]" in warning for warning in got)


def backend_login(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "backend",
        "path": f"/{name}",
        "upstream": "api",
        "subject_prefix": f"{name}:",
        **changes,
    }


VERIFY = {"secret": "a secret of the tests that is long enough"}


def test_a_token_that_is_found_and_not_verified(tmp_path: Path) -> None:
    """Any user could have the backend say one. The very lines that mend it are said."""
    logins = [
        backend_login("a", token="auto"),
        backend_login("b"),
        backend_login("c", token="auto", verify=VERIFY),
        backend_login("d", token="/token"),
        backend_login("e", token="header:X-Token"),
    ]
    first, second = warned(tmp_path, login=logins)
    assert "login[0].token: believes what its backend calls a token" in first
    assert 'add verify: {secret: "${JWT_SECRET}"}' in first
    assert "login[1].token" in second


def test_a_place_that_clients_name(tmp_path: Path) -> None:
    """Aliases of GraphQL: what stands at /data/login/token is what a client has put there."""
    place = {"token": "data.login.token"}
    logins = [
        backend_login("a", backend_path="/graphql", **place),
        backend_login("b", backend_path="/api/GraphQL", **place),
        backend_login("c", backend_path="/graphql", verify=VERIFY, **place),
        backend_login("d", backend_path="/graphql/login", **place),
    ]
    first, second = warned(tmp_path, login=logins)
    assert "login[0].token: believes what stands there, and GraphQL clients" in first
    assert "login[1].token" in second


def test_an_upstream_that_tells_spellings_apart(tmp_path: Path) -> None:
    """If it does not, `/API/me` is a way around what `/api/me` asks for."""
    upstream = {"servers": "http://127.0.0.1:9000", "paths": "strict"}
    [warning] = warned(tmp_path, upstreams={"api": upstream})
    assert "upstreams.api.paths: treats /API/me, /api/me/ and /api/me.json as other" in warning


@pytest.mark.parametrize(
    ("path", "more", "expected"),
    [
        ("/report.csv", {"auth": "public"}, True),
        ("/report/", {"auth": "optional"}, True),
        ("/Report", {}, True),  # without the claims
        ("/index.php/report", {"auth": "public"}, True),
        ("/report.csv", {"claims": {"role": "admin"}}, False),
        ("/reports", {"auth": "public"}, False),
        ("/report/x", {"auth": "public"}, False),
        ("/x.csv", {"auth": "public"}, False),
    ],
)
def test_a_route_that_names_another_ones_spelling(
    tmp_path: Path, path: str, more: dict[str, Any], expected: bool
) -> None:
    """It has its way, and many backends take its path for the other one's, which asks for more."""
    routes = [
        {"path": "/*", "upstream": "api"},
        {"path": "/report", "upstream": "api", "claims": {"role": "admin"}},
        {"path": "/report", "upstream": "api", "methods": ["POST"]},
        {"path": path, "upstream": "api", **more},
    ]
    told = [line for line in warned(tmp_path, routes=routes) if "routes[3].path" in line]
    assert bool(told) is expected
    assert all("is a way to write /report (routes[1]) to many backends" in line for line in told)


@pytest.mark.parametrize(
    "file",
    [
        "config.yaml",
        "demo/members.yaml",
        "deploy/compose.config.yaml",
        "deploy/forward-auth/latchkey.yaml",
    ],
)
def test_our_own_examples_have_no_warning(file: str) -> None:
    """What is shown to be copied is safe."""
    env = {"GATEWAY_SECRET": "x" * 32, "REDIS_PASSWORD": "y" * 32}
    assert load_with_warnings(REPOSITORY / file, env)[1] == []


def test_the_example_of_the_readme_has_no_warning(tmp_path: Path) -> None:
    """It verifies, and needs no more than its secrets."""
    [example] = re.findall(r"```yaml\n(version: 1\n.*?)```", README.read_text(), re.DOTALL)
    env = dict.fromkeys(re.findall(r"\$\{(\w+)", example), "x" * 32)
    config, found = load_with_warnings(write(tmp_path, example), env)
    assert found == []
    [login] = config.login
    assert login.token_rules is not None


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"per_address": "100%"}, "limits.per_address: lets one client take an upstream"),
        ({"min_rate": 0}, "limits.min_rate: lets a client hold a connection to an upstream"),
        ({"per_address": "99%", "min_rate": 1}, ""),
    ],
)
def test_clients_without_bounds(tmp_path: Path, limits: dict[str, Any], expected: str) -> None:
    """One client could take what is there for all."""
    got = warned(tmp_path, limits=limits)
    assert len(got) == bool(expected)
    assert all(expected in warning for warning in got)


@pytest.mark.parametrize(
    ("session", "is_warned"),
    [
        ({"idle_timeout": "2h", "max_age": "1h"}, True),
        ({"idle_timeout": "13h"}, True),  # the default of max_age is 12 hours
        ({"idle_timeout": "1h", "max_age": "1h"}, False),
    ],
)
def test_an_idle_timeout_that_never_ends_a_session(
    tmp_path: Path, session: dict[str, Any], is_warned: bool
) -> None:
    """It promises what it does not do."""
    got = warned(tmp_path, session=session)
    assert ["session.idle_timeout: never ends a session" in line for line in got] == (
        [True] * is_warned
    )


_LOGIN = {
    "kind": "backend",
    "path": "/login",
    "upstream": "api",
    "verify": {"secret": "a secret of at least 32 letters, or more"},
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"keys": {"secure": False}}, "keys.secure: lets browsers send the cookie"),
        ({"listen": "0.0.0.0:8080"}, "listen[0]: serves plain HTTP to other machines"),
        ({"listen": ":8080"}, "listen[0]: serves plain HTTP to other machines"),
        ({"listen": "[2001:db8::1]:8080"}, "listen[0]: serves plain HTTP to other machines"),
        ({"listen": ["127.0.0.1:1", "10.0.0.1:1"]}, "listen[1]: serves plain HTTP to other"),
        ({"listen": ":8080", "keys": {"secure": True}}, ""),
        ({"listen": ":8080", "trusted_proxies": ["10.0.0.5"]}, ""),
        ({"listen": ":8080", "keys": {"carrier": "reply"}}, ""),
        ({"listen": ":8080", "login": []}, ""),
        ({"listen": ["127.0.0.1:8080", "[::1]:8080", "localhost:8082"]}, ""),
    ],
)
def test_cookies_over_plain_http(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    """A key in the clear can be read on its way."""
    got = warned(tmp_path, **{"login": _LOGIN, **changes})
    assert len(got) == bool(expected)
    assert all(expected in warning for warning in got)


@pytest.mark.parametrize(
    ("max_age", "login", "expected"),
    [
        ("30d", {}, False),
        ("30d", {"key_form": "jwt"}, True),
        ("24d", {"key_form": "jwt"}, False),
    ],
)
def test_ends_that_a_browsers_timer_cannot_count(
    tmp_path: Path, max_age: str, login: dict[str, Any], expected: bool
) -> None:
    """A longer timer fires at once, and the frontend logs its user out."""
    section = {"kind": "backend", "path": "/login", "upstream": "api", "token": "/token", **login}
    got = warned(tmp_path, login=section, session={"max_age": max_age, "secrets": ["s" * 32]})
    assert any("session.max_age: is longer" in line for line in got) == expected


@pytest.mark.parametrize(
    ("login", "expected"),
    [
        ({"remember": "rememberMe"}, ["login.remember: lasts no longer than a token"]),
        ({"remember": {"always": True}, "renew": True}, []),
        ({"remember": {"max_age": "1h"}, "renew": True}, []),
        (
            {"remember": {"max_age": "1h", "idle_timeout": "2h"}, "renew": True},
            ["login.remember.idle_timeout: never ends a session"],
        ),
        ({"idle_timeout": "13h"}, ["login.idle_timeout: never ends a session"]),
        ({"idle_timeout": "2h", "max_age": "1h"}, ["login.idle_timeout: never ends a session"]),
        ({"idle_timeout": "1h", "max_age": "1h"}, []),
    ],
)
def test_logins_whose_sessions_end_earlier_than_they_say(
    tmp_path: Path, login: dict[str, Any], expected: list[str]
) -> None:
    """By a token that nothing renews, or by their greatest age."""
    section: dict[str, Any] = {**_LOGIN, "token": "/token", **login}
    if section.get("renew"):
        section["renew"] = {"upstream": "api", "backend_path": "/refresh"}
    got = [re.sub(r"^\S+ ", "", line) for line in warned(tmp_path, login=section)]
    assert len(got) == len(expected)
    assert all(wanted in line for line, wanted in zip(got, expected, strict=True))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"compress": True}, "compress: compresses responses to requests with cookies"),
        ({"route": {"compress": "gzip"}}, "routes[0].compress: compresses"),
        ({"compress": True, "route": {"auth": "public"}}, None),
        ({"compress": True, "route": {"compress": False}}, None),
        ({"compress": True, "keys": {"carrier": "reply"}}, None),
    ],
)
def test_compressed_answers_for_cookies(
    tmp_path: Path, changes: dict[str, Any], expected: str | None
) -> None:
    """BREACH: the size tells of a secret beside text that another site chooses."""
    sections = {"login": {"kind": "backend", "path": "/login", "upstream": "api"}, **changes}
    sections["routes"] = [{"path": "/*", "upstream": "api", **sections.pop("route", {})}]
    found = [said for said in warned(tmp_path, **sections) if "BREACH" in said]
    assert len(found) == (expected is not None)
    assert expected is None or expected in found[0]


@pytest.mark.parametrize(
    ("require", "is_warned"),
    [
        ({"max_age": "10m"}, True),
        ({"max_age": "1h"}, False),
        ({"roles": "admin"}, True),
    ],
)
def test_an_exact_spelling_that_requires_less(
    tmp_path: Path, require: dict[str, Any], *, is_warned: bool
) -> None:
    """Of the login's age, and of claims."""
    rules = [
        {"path": "/pay", "upstream": "api", "require": require},
        {"path": "/PAY", "upstream": "api", "require": {"max_age": "1h"}},
    ]
    found = [said for said in warned(tmp_path, routes=rules) if "is a way to write /pay" in said]
    assert bool(found) is is_warned
