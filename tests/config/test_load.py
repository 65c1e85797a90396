"""Reading config.yaml: what it says, and how it says what is wrong."""

import json
import sys
from pathlib import Path
from types import ModuleType

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import content_codings
from gateway.config.load import load
from gateway.config.load_isolated import NotRead, load_in_child
from gateway.config.logins.backend import BackendSection
from gateway.config.problems import ConfigError
from gateway.config.schema import json_schema
from gateway.config.units import parse_duration, parse_percent, parse_size
from gateway.core.http.addresses import ServerUrl, TcpAddress, UnixAddress
from gateway.core.logins.token_places import Auto, Cookie, Header, JsonPointer
from tests.support.configs import MINIMAL, problems, write
from tests.support.gateway import REPOSITORY

SHAPE = """
version: 1
listen: 127.0.0.1:8080
admin: {listen: 127.0.0.1:8081}
workers: 1
store: embedded
session: {idle_timeout: 30m, max_age: 12h, secrets: ["${GATEWAY_SECRET:-a default that is long}"]}
upstreams:
  accounts: http://127.0.0.1:9000
  shop: {servers: [http://127.0.0.1:9001, http://127.0.0.1:9002]}
login:
  - {kind: backend, path: /login, upstream: accounts, backend_path: /api/login, token: auto}
logout: {path: /logout}
routes:
  - {path: /public/*, upstream: shop, auth: public}
  - {path: /api/*, upstream: shop, auth: required, methods: [GET, POST]}
"""


def test_the_documented_shape(tmp_path: Path) -> None:
    """The shape that is promised to users is read as it stands."""
    config = load(write(tmp_path, SHAPE), {})
    assert config.listen == (TcpAddress("127.0.0.1", 8080),)
    assert config.session.idle_timeout == 1800
    assert config.session.secrets[0].reveal() == "a default that is long"
    assert config.upstreams["shop"].servers[1] == ServerUrl("http", "127.0.0.1", 9002)
    assert isinstance(config.login[0], BackendSection)
    assert config.login[0].token == Auto()
    assert config.routes[1].methods == ("GET", "POST")
    assert config.store.data_dir == str(tmp_path / ".latchkey")


def test_the_repositorys_own_config() -> None:
    """config.yaml is right, and names its schema for editors in its first line."""
    file = REPOSITORY / "config.yaml"
    load(file, {})
    assert file.read_text().startswith("# yaml-language-server: $schema=docs/config.schema.json\n")


def test_the_schema_does_not_drift() -> None:
    """docs/config.schema.json is what `gateway schema` prints, and both configs satisfy it."""
    schema = json.loads((REPOSITORY / "docs/config.schema.json").read_text())
    assert schema == json_schema(), "run: .venv/bin/gateway schema > docs/config.schema.json"
    jsonschema.Draft202012Validator.check_schema(schema)
    for text in (SHAPE, MINIMAL, (REPOSITORY / "config.yaml").read_text()):
        jsonschema.validate(yaml.safe_load(text), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**yaml.safe_load(MINIMAL), "listne": 1}, schema)


def test_safe_by_default(tmp_path: Path) -> None:
    """A rule that says nothing of authentication requires it; listeners are on loopback."""
    config = load(write(tmp_path, MINIMAL), {})
    assert config.routes[0].auth == "required"
    assert str(config.listen[0]) == "127.0.0.1:8080"
    assert str(config.admin.listen[0]) == "127.0.0.1:8081"


def test_all_errors_at_once_with_their_places(tmp_path: Path) -> None:
    """File, line, column, field, what is wrong, and what would be right."""
    assert problems(
        tmp_path,
        """version: 1
listne: 127.0.0.1:1
upstreams: {shop: "ftp://x"}
session: {idle_timeout: 30x, secrets: ["${NOPE}"]}
routes:
  - {path: api, upstream: shpo, auth: maybe, methdos: [GET]}
""",
    ) == [
        "config.yaml:2:1: listne: is not known here (did you mean listen?)",
        "config.yaml:3:19: upstreams.shop.servers[0]: is not a server: "
        "write http://host:port, https://host or unix:/path",
        "config.yaml:4:25: session.idle_timeout: is not a duration: "
        "write 30s, 5m, 1h30m or a number of seconds",
        "config.yaml:4:40: session.secrets[0]: needs the environment variable NOPE, which is not set",
        "config.yaml:6:12: routes[0].path: is not a path: it begins with a slash",
        "config.yaml:6:39: routes[0].auth: must be 'required', 'optional' or 'public'",
        "config.yaml:6:46: routes[0].methdos: is not known here (did you mean methods?)",
    ]


def test_rules_that_contradict_each_other(tmp_path: Path) -> None:
    """Unknown upstreams, rules that match the same, paths that are never reached, no secret."""
    assert problems(
        tmp_path,
        """version: 1
store: redis://127.0.0.1
upstreams: {shop: "http://x", gateway: "http://y"}
login: {kind: backend, path: /login, upstream: shpo}
routes:
  - {path: /a, upstream: sho}
  - {path: /a, upstream: shop}
  - {path: /logout, upstream: shop}
  - {path: /b, upstream: shop, methods: [GET, POST]}
  - {path: /b, upstream: shop, methods: [POST]}
  - {path: /b, upstream: shop}
""",
    ) == [
        "config.yaml:1:1: session: needs secrets: a reader of the Redis must not be able to open sessions",
        "config.yaml:3:31: upstreams.gateway: is the gateway's own name",
        "config.yaml:4:48: login.upstream: names no upstream (did you mean shop?)",
        "config.yaml:6:26: routes[0].upstream: names no upstream (did you mean shop?)",
        "config.yaml:7:12: routes[1].path: matches the same requests as routes[0] in line 6",
        "config.yaml:8:12: routes[2].path: is never reached: logout answers there",
        "config.yaml:10:12: routes[4].path: matches the same requests as routes[3] in line 9",
    ]


@pytest.mark.parametrize(
    ("route", "message"),
    [
        ("{path: /a*, upstream: shop}", "a star ends it, as in /api/*"),
        ("{path: /*/b, upstream: shop}", "a star ends it, as in /api/*"),
        ("{path: /a//b, upstream: shop}", "not a plain path"),
        ("{path: /a/../b, upstream: shop}", "not a plain path"),
        ("{path: /a/.., upstream: shop}", "not a plain path"),
        ("{path: /a/., upstream: shop}", "not a plain path"),
        ("{path: /a%20b, upstream: shop}", "not a plain path"),
        ("{path: '/a?b', upstream: shop}", "not a plain path"),
        ("{path: /a/*, upstream: shop, strip_prefix: /b}", "does not begin with strip_prefix"),
        ("{path: /a, upstream: shop, methods: [get]}", "write it in capitals"),
        ("{path: /a, upstream: shop, methods: [TRACE]}", "is never served"),
        ("{path: /a, upstream: shop, auth: public, claims: {a: b}}", "claims need a session"),
        (
            "{path: /a, upstream: shop, auth: public, require: {roles: a}}",
            "require needs a session",
        ),
        ("{path: /a, upstream: shop, bad_key: anonymous}", "goes with auth: optional"),
        ("{upstream: shop}", "needs path"),
    ],
)
def test_bad_routes(tmp_path: Path, route: str, message: str) -> None:
    """What a rule cannot mean is refused with the reason."""
    text = MINIMAL.replace("{path: /*, upstream: shop}", route)
    [problem] = problems(tmp_path, text)
    assert message in problem


def test_duplicate_keys(tmp_path: Path) -> None:
    """YAML would silently take the last one."""
    [problem] = problems(tmp_path, MINIMAL + "version: 1\n")
    assert problem == "config.yaml:5:1: version: stands twice; first in line 2"


def test_substitution(tmp_path: Path) -> None:
    """${VAR}, ${VAR:-default}, ${VAR:?message} and $$, on values and never on structure."""
    text = MINIMAL + 'access_log: "/${DIR:-tmp}/$$/${NAME}.log"\nworkers: ${COUNT:-2}\n'
    config = load(write(tmp_path, text), {"NAME": "a: [b", "DIR": ""})
    assert config.access_log == "/tmp/$/a: [b.log"
    assert config.workers == 2
    assert problems(tmp_path, MINIMAL + "access_log: ${A:?say where}\n") == [
        "config.yaml:5:13: access_log: needs the environment variable A: say where"
    ]
    # A value that is missing has no other problem.
    assert problems(tmp_path, MINIMAL + 'session: {secrets: ["${A}"]}\n') == [
        "config.yaml:5:21: session.secrets[0]: needs the environment variable A, which is not set"
    ]


def test_secrets_from_a_file(tmp_path: Path) -> None:
    """One secret a line; a missing file is a problem with its place."""
    (tmp_path / "keys").write_text(
        "the first secret....\nthe-second-secret.....\n".replace(" ", "-")
    )
    config = load(write(tmp_path, MINIMAL + "session: {secrets_file: keys}\n"), {})
    assert [len(secret.reveal()) for secret in config.session.secrets] == [20, 22]
    assert "secret" not in repr(config.session.secrets)
    [problem] = problems(tmp_path, MINIMAL + "session: {secrets_file: nope}\n")
    assert "session.secrets_file: cannot be read: No such file" in problem


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("::ffff:10.0.0.1", "10.0.0.1/32"),
        ("::ffff:a00:0/104", "10.0.0.0/8"),
        ("::/0", "::/0"),
        ("2001:db8::1", "2001:db8::1/128"),
    ],
)
def test_ipv4_that_is_written_as_ipv6(tmp_path: Path, written: str, meant: str) -> None:
    """Peers have their IPv4 addresses, so a network of these would name none."""
    config = load(write(tmp_path, MINIMAL + f"trusted_proxies: '{written}'\n"), {})
    assert [str(network) for network in config.trusted_proxies] == [meant]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must be a mapping"),
        ("- a\n- b\n", "must be a mapping"),
        ("version: [1\n", "is not YAML"),
        ("version: 1\n\tlisten: x\n", "is not YAML"),
        ("login: {subject_prefix: staff:}\n", "write a text with a colon in quotes"),
        ("login:\n  subject_prefix: {host}:\n", "write a text with a colon in quotes"),
        (
            "routes: [{path: /u/{id}, upstream: x}]",
            "write a text with braces or brackets in quotes",
        ),
        ("routes: [{path: {id}/x}]", "write a text with braces or brackets in quotes"),
        ("routes: [{path_regex: /v[0-9]+}]", "write a text with braces or brackets in quotes"),
        ("routes:\n- host: *.a.test\n", "write a text that begins with a star in quotes"),
        ("cors: {origins: *}\n", "write a text that begins with a star in quotes"),
        ("cors: {origins: *x}\n", "write a text that begins with a star in quotes"),
        ("listen: @x\n", "write a text that begins with this character in quotes"),
        ("version: 2\nupstreams: {}\nroutes: []\n", "must be 1"),
        ("upstreams: {}\nroutes: []\n", "needs version"),
    ],
)
def test_no_config_at_all(tmp_path: Path, text: str, message: str) -> None:
    """Whatever the file holds, the answer is a sentence and not a traceback."""
    assert message in " ".join(problems(tmp_path, text))


def test_a_missing_file(tmp_path: Path) -> None:
    """The file's name and the system's reason."""
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(tmp_path / "nope.yaml", {})


def test_no_value_is_repeated(tmp_path: Path) -> None:
    """A secret in a wrong place must not end up on a terminal or in a log."""
    text = MINIMAL + "session: {idle_timeout: hunter2, secrets: hunter2}\naccess_log: [hunter2]\n"
    assert "hunter2" not in " ".join(problems(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("auto", Auto()),
        ("/data/token", JsonPointer("/data/token")),
        ("data.login.token", JsonPointer("/data/login/token")),
        ("header:X-Token", Header("X-Token")),
        ("cookie:jwt", Cookie("jwt")),
    ],
)
def test_token_places(tmp_path: Path, text: str, place: object) -> None:
    """auto, a JSON pointer (which may be written with dots), a field, a cookie."""
    login = f"login: {{kind: backend, path: /login, upstream: shop, token: '{text}'}}\n"
    [read] = load(write(tmp_path, MINIMAL + login), {}).login
    assert isinstance(read, BackendSection)
    assert read.token == place


@pytest.mark.parametrize("text", ["", "token", "a..b", "a.", ".a", "a b.c", "header:", "cookie:"])
def test_what_names_no_place(tmp_path: Path, text: str) -> None:
    """One name alone is rather a mistake than a place."""
    login = f"login: {{kind: backend, path: /login, upstream: shop, token: '{text}'}}\n"
    [problem] = problems(tmp_path, MINIMAL + login)
    assert "login.token: names no place" in problem


@pytest.mark.parametrize("text", ["/", "/data//token", "//token", "/token/"])
@pytest.mark.parametrize("field", ["token", "failed", "renew.token", "renew.refresh_token"])
def test_what_could_not_be_meant(tmp_path: Path, field: str, text: str) -> None:
    """RFC 6901 knows members without a name; no API has one, so there is a slash too many."""
    renew, _, name = field.rpartition(".")
    said = f"{name}: '{text}'"
    if renew:
        said = f"renew: {{upstream: shop, backend_path: /refresh, {said}}}"
    login = f"login: {{kind: backend, path: /login, upstream: shop, {said}}}\n"
    [problem] = problems(tmp_path, MINIMAL + login)
    assert f"login.{field}: has an empty name" in problem


def test_a_hint_stands_behind_what_is_wrong(tmp_path: Path) -> None:
    """What is mistaken in one way by many is said to them."""
    login = "login: {kind: backend, path: /login, upstream: shop, token: token}\n"
    [problem] = problems(tmp_path, MINIMAL + login)
    assert problem.endswith("(a member at the top is written with a slash, as in /token)")


def test_addresses(tmp_path: Path) -> None:
    """Several addresses, IPv6, every interface, unix sockets; http, https and unix servers."""
    text = MINIMAL.replace('"http://127.0.0.1:9000"', "[https://a.example, 'unix:/run/a.sock']")
    with pytest.raises(ConfigError):
        load(write(tmp_path, text), {})
    text = MINIMAL.replace(
        '"http://127.0.0.1:9000"',
        "{servers: [https://a.example, 'unix:/run/a.sock', 'http://[::1]:1']}",
    )
    config = load(write(tmp_path, text + "listen: ['[::1]:80', ':81', 'unix:/run/b.sock']\n"), {})
    assert config.listen == (TcpAddress("::1", 80), TcpAddress("", 81), UnixAddress("/run/b.sock"))
    servers = config.upstreams["shop"].servers
    assert [str(server) for server in servers] == [
        "https://a.example",
        "unix:/run/a.sock",
        "http://[::1]:1",
    ]
    assert [server.authority for server in servers] == ["a.example", "localhost", "[::1]:1"]


def test_who_may_connect_to_a_unix_socket(tmp_path: Path) -> None:
    """The gateway's own user alone, unless mode and group say otherwise; a group has a number."""
    text = MINIMAL + "listen: {address: 'unix:/a', mode: '660', group: root}\n"
    config = load(write(tmp_path, text + "admin: {listen: 'unix:/b'}\n"), {})
    assert config.listen == (UnixAddress("/a", 0o660, 0),)
    assert config.admin.listen == (UnixAddress("/b", 0o600, None),)


@pytest.mark.parametrize(
    ("listen", "complaint"),
    [
        (
            "{address: 'unix:/a', mode: 0660}",
            "listen.mode: begins with a 0, which YAML reads as octal",
        ),
        ("{address: 'unix:/a', mode: 660}", "listen.mode: is not a mode: write it in quotes"),
        ("{address: 'unix:/a', mode: '0888'}", "listen.mode: is not a mode: write it in quotes"),
        ("{address: 'unix:/a', mode: '4755'}", "listen.mode: is not a mode: write it in quotes"),
        ("{address: 'unix:/a', group: no-such}", "listen.group: names no group"),
        ("{address: 'unix:/a', group: -1}", "listen.group: is no number of a group"),
        ("{address: 'unix:/a', group: 4294967295}", "listen.group: is no number of a group"),
        ("{address: ':80', mode: '0660'}", "listen: mode and group go with a unix socket"),
        ("{mode: '0660'}", "listen: needs address"),
        ("{address: 'unix:/a', owner: root}", "listen.owner: is not known here"),
    ],
)
def test_what_is_wrong_with_a_listener(tmp_path: Path, listen: str, complaint: str) -> None:
    """A mode that YAML has read as another number is not guessed at."""
    [problem] = problems(tmp_path, f"{MINIMAL}listen: {listen}\n")
    assert complaint in problem


@pytest.mark.parametrize(
    "name",
    [
        *("Host", "Cookie", "Connection", "Via", "traceparent", "Authorization", "Content-Type"),
        *("X-Real-IP", "X-Request-Id", "X-Forwarded-For", "x_forwarded~host", "X-Forwarded-Uri"),
        *("X-Latchkey-User", "Sec-Fetch-Site", "Origin", "Accept", "If-Match", "TE", "Proxy"),
        *("X-HTTP-Method", "X-Original-URL", "True-Client-IP", "Forwarded", "Client-Cert"),
    ],
)
def test_fields_that_mean_something_else(tmp_path: Path, name: str) -> None:
    """They cannot tell of a subject, nor carry a key."""
    [problem] = problems(tmp_path, f"{MINIMAL}identity: {{{name}: sub}}\n")
    assert f"identity.{name}: is a field with a meaning of its own" in problem
    [problem] = problems(tmp_path, f"{MINIMAL}keys: {{field: {name}}}\n")
    assert "keys.field: is a field with a meaning of its own" in problem


def test_fields_that_are_one_variable(tmp_path: Path) -> None:
    """For a CGI program, in which every byte that is no letter or digit is alike."""
    text = f"{MINIMAL}identity: {{X-User: sub, X-Name: name, x~user: id}}\n"
    [problem] = problems(tmp_path, text + "keys: {field: X_User_Key}\n")
    assert "identity.x~user: is the same field as X-User" in problem
    text = f"{MINIMAL}identity: {{X-Forwarded-User: sub}}\n"
    [problem] = problems(tmp_path, text + "keys: {field: x_forwarded_user}\n")
    assert "keys.field: is the same field as X-Forwarded-User" in problem
    load(write(tmp_path, text), {})


@given(st.integers(0, 10**6), st.sampled_from([("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)]))
def test_durations(number: int, unit: tuple[str, float]) -> None:
    """A number with a unit is that many seconds; parts add up."""
    assert parse_duration(f"{number}{unit[0]}") == pytest.approx(number * unit[1])
    assert parse_duration(f"1h{number}{unit[0]}") == pytest.approx(3600 + number * unit[1])


@given(st.integers(0, 10**6), st.sampled_from([("KiB", 2**10), ("MB", 10**6), ("", 1)]))
def test_sizes(number: int, unit: tuple[str, int]) -> None:
    """A number with a unit is that many bytes."""
    assert parse_size(f"{number}{unit[0]}") == number * unit[1]


@pytest.mark.parametrize(("text", "share"), [("1%", 1), ("50%", 50), ("100%", 100)])
def test_shares(text: str, share: int) -> None:
    """Percent, and nothing else that could be meant."""
    assert parse_percent(text) == share


@pytest.mark.parametrize("text", ["0%", "101%", "50", 50, 0.5, "50 %", "-1%", "", True, None])
def test_what_is_no_share(text: object) -> None:
    """A number could be a percentage, a fraction or an amount."""
    with pytest.raises(ValueError, match="is not a share: write 1% to 100%"):
        parse_percent(text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("login_page: /signin\n", "login_page: itself needs a session: make it public"),
        ("cors: {origins: app.example}\n", "cors.origins[0]: is not an origin: write https://app"),
        (
            'cors: {origins: ["https://app.example", "https://*.vercel.app"]}\n',
            "cors.origins[1]: lets strangers in: anyone can register a name below vercel.app",
        ),
        ('cors: {origins: "null"}\n', "cors.origins[0]: is not an origin"),
        (
            "pages: {return_origins: ['https://*.shop.example']}\n",
            "pages.return_origins[0]: is not an origin: write https://app.example, without a path",
        ),
        (
            'cors: {origins: "*", credentials: true}\n',
            "cors: credentials for every origin would let any site act as its visitors",
        ),
    ],
)
def test_what_is_said_of_browsers(tmp_path: Path, text: str, complaint: str) -> None:
    """What could not work, or would be unsafe."""
    [problem] = problems(tmp_path, MINIMAL + text)
    assert complaint in problem


def test_a_login_page_is_needed(tmp_path: Path) -> None:
    """Or there is no page to send visitors to."""
    text = MINIMAL.replace("path: /*,", "path: /api/*, on_unauthenticated: login,")
    [problem] = problems(tmp_path, text)
    assert "routes[0].on_unauthenticated: needs a login_page" in problem
    [problem] = problems(tmp_path, text + "login_page: /signin\n")
    assert "login_page: leads nowhere" in problem


@pytest.mark.parametrize(
    ("required", "complaint"),
    [
        ("{}", "requires nothing"),
        ("{claims: {}}", "requires nothing"),
        ("", "routes[0].require: has no value"),
        ("{roles: , claims: {a: b}}", "requires nothing at roles"),
        ("{any: [{roles: a, scopes: }]}", "requires nothing at scopes"),
        ("{roles: a, max_age: }", "requires nothing at max_age"),
        ("{roles: a}, methods: ", "routes[0].methods: has no value"),
        ("{any: []}", "routes[0].require.any: must not be empty"),
        ("{any: [{}]}", "routes[0].require.any[0]: requires nothing"),
        ("{scopes: a b}", "routes[0].require.scopes.all[0]: consists of printable ASCII"),
        ("{scopes: []}", "names no scope"),
        ("{roles: {any: []}}", "names no role"),
        ("{role: admin}", "routes[0].require.role: is not known here"),
    ],
)
def test_what_a_route_cannot_require(tmp_path: Path, required: str, complaint: str) -> None:
    text = f"routes: [{{path: /a, upstream: shop, require: {required}}}]"
    text = MINIMAL.replace("routes: [{path: /*, upstream: shop}]", text)
    [problem] = problems(tmp_path, text)
    assert complaint in problem


@pytest.mark.parametrize(
    ("rules", "complaint"),
    [
        ("./none.py:rule", "rules[0]: cannot be read: No such file"),
        ("[./rules.py:rule, ./rules.py:other]", "rules[1]: names no function of rules.py"),
        ("rules.py", "names no rule"),
        ("[]", "rules: must not be empty"),
        ("./broken.py:rule", "rules[0]: cannot be loaded: broken.py:1: "),
    ],
)
def test_what_is_no_rule(tmp_path: Path, rules: str, complaint: str) -> None:
    """It is found before the gateway serves, with its line in config.yaml."""
    (tmp_path / "rules.py").write_text("def rule(request): return True\n")
    (tmp_path / "broken.py").write_text("def rule(request: return True\n")
    text = f"routes: [{{path: /a, upstream: shop, require: {{rules: {rules}}}}}]"
    text = MINIMAL.replace("routes: [{path: /*, upstream: shop}]", text)
    [problem] = problems(tmp_path, text)
    assert problem.startswith("config.yaml:4:")
    assert complaint in problem


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ("compress: deflate", "must be true, false, or some of zstd, br, gzip"),
        ("compress: [gzip, gzip]", "names a coding twice"),
        ("compress: {gzip: 1}", "must be true, false, or some of"),
        ("compress_min: -1", "compress_min"),
        ("compress_types: text", "is a media type"),
    ],
)
def test_what_cannot_be_compressed(tmp_path: Path, options: str, complaint: str) -> None:
    text = f"routes: [{{path: /a, upstream: shop, {options}}}]"
    text = MINIMAL.replace("routes: [{path: /*, upstream: shop}]", text)
    [problem] = problems(tmp_path, text)
    assert complaint in problem


def test_a_coding_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A coding that is named has to be there; `true` means what is there."""
    monkeypatch.setitem(content_codings.LIBRARIES, "zstd", "no_such_library")
    [problem] = problems(tmp_path, MINIMAL + "compress: [zstd, gzip]\n")
    assert "zstd needs a library that is not installed: pip install no_such_library" in problem
    assert load(write(tmp_path, MINIMAL + "compress: true\n")).compress == ("br", "gzip")
    assert load(write(tmp_path, MINIMAL + "compress: false\n")).compress == ()


def test_a_reader_of_another_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an update, what the reading process imports does not fit what its parent has."""
    monkeypatch.setitem(sys.modules, "gateway.config.load", ModuleType("of another version"))
    with pytest.raises(NotRead, match="after an update, restart the gateway"):
        load_in_child(write(tmp_path, MINIMAL))
