"""The store's URL in config.yaml: one scheme for each way to run Redis."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, unquote

from gateway.core.http.addresses import MAX_PORT, MAX_UNIX_PATH_BYTES, BadAddress
from gateway.core.secret import Secret

Kind = Literal["single", "sentinel", "cluster", "unix"]

_KINDS: dict[str, tuple[Kind, bool]] = {
    "redis": ("single", False),
    "rediss": ("single", True),
    "unix": ("unix", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
STORE_SCHEMES = tuple(f"{name}://" for name in _KINDS)

_URL = re.compile(
    r"(?P<scheme>[a-z+]+)://(?:(?P<user>[^:@/?#]*)(?::(?P<password>[^@/?#]*))?@)?"
    r"(?P<hosts>[^@/?#]*)(?P<path>/[^?#@]*)?(?:\?(?P<query>[^#@]*))?"
)
_HOST = re.compile(
    r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>[0-9]{1,5}))?"
)
_DEFAULT_PORTS = {"single": 6379, "cluster": 6379, "sentinel": 26379}
_DEFAULT_SERVICE = "mymaster"
_NO_PASSWORD = Secret("")


class StoreUrl(str):
    """A store's URL, or `embedded`. Its repr hides the password."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "StoreUrl(…)"


@dataclass(frozen=True, slots=True)
class StorePlace:
    """The parts of a store's URL.

    path: of a unix socket
    service: the name that Sentinel knows the primary by
    """

    kind: Kind
    tls: bool
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    service: str = ""
    database: int = 0
    username: str = ""
    password: Secret = _NO_PASSWORD


def parse_store_url(text: str) -> StorePlace:
    """Parse a store's URL. Raises `BadAddress`, which repeats nothing of it.

    It is redis[s]://user:password@host:port/0, unix:///path?db=0,
    redis[s]+sentinel://host:port,host:port/service?db=0 or redis[s]+cluster://host:port,host:port.
    """
    found = _URL.fullmatch(text)
    if found is None:
        raise BadAddress(
            "is not a URL of a store; in a user or password, write @ as %40, : as %3A, / as %2F, "
            "? as %3F, # as %23 and % as %25"
        )
    if found["scheme"] not in _KINDS:
        raise BadAddress(f"is not a store: write embedded or one of {', '.join(STORE_SCHEMES)}…")
    kind, tls = _KINDS[found["scheme"]]
    options = _options(found["query"] or "", kind)
    username, password = _account(found, options)
    path = unquote(found["path"] or "")
    database = _database(kind, path, options.get("db"))
    if kind == "unix":
        _check_socket(found["hosts"], path)
        return StorePlace(
            kind, tls, path=path, database=database, username=username, password=password
        )
    return StorePlace(
        kind,
        tls,
        hosts=_hosts(found["hosts"], kind),
        service=_service(path) if kind == "sentinel" else "",
        database=database,
        username=username,
        password=password,
    )


def _options(query: str, kind: Kind) -> dict[str, str]:
    """The options behind the question mark.

    The URL of a unix socket may hold a password there.
    """
    known = {"cluster": (), "unix": ("db", "password")}.get(kind, ("db",))
    options = dict(parse_qsl(query, keep_blank_values=True))
    if set(options) - set(known):
        allowed = f"only {' and '.join(known)} may" if known else "nothing may"
        raise BadAddress(f"has an option that is not known: {allowed} stand behind the ?")
    return options


def _account(found: re.Match[str], options: dict[str, str]) -> tuple[str, Secret]:
    username = unquote(found["user"] or "")
    password = unquote(found["password"] or "") or options.get("password", "")
    if username and not password:
        raise BadAddress("names a user without a password: write user:password@, or :password@")
    return username, Secret(password)


def _database(kind: Kind, path: str, option: str | None) -> int:
    """The number of the database: `db=`, or the path for a single server."""
    if kind == "cluster" and path.strip("/") not in ("", "0"):
        raise BadAddress("has a path: a cluster has one database only")
    number = option if option is not None else path.strip("/") if kind == "single" else ""
    if number and not (number.isascii() and number.isdigit()):
        raise BadAddress("has no number as its database: write redis://host:port/0")
    return int(number or 0)


def _check_socket(hosts: str, path: str) -> None:
    if hosts or len(path) < 2:
        raise BadAddress("is not a unix socket: write unix:///absolute/path")
    if len(path.encode()) > MAX_UNIX_PATH_BYTES:
        raise BadAddress(f"is too long for a unix socket: at most {MAX_UNIX_PATH_BYTES} bytes")


def _hosts(text: str, kind: Kind) -> tuple[tuple[str, int], ...]:
    hosts = tuple(_host(host, _DEFAULT_PORTS[kind]) for host in text.split(","))
    if kind == "single" and len(hosts) > 1:
        raise BadAddress("names several hosts: write redis+sentinel:// or redis+cluster://")
    return hosts


def _host(text: str, default_port: int) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    if found is None or int(found["port"] or 1) > MAX_PORT:
        raise BadAddress("has no host, or a wrong one: write host:port, or [address]:port for IPv6")
    return found["six"] or found["name"], int(found["port"] or default_port)


def _service(path: str) -> str:
    service = path.strip("/")
    if "/" in service:
        raise BadAddress("has a path of two parts: write /service, and ?db=0 for the database")
    return service or _DEFAULT_SERVICE
