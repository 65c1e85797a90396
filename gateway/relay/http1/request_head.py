"""One request's head, and the description of a request by a proxy."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.http import origins
from gateway.core.http.forwarding import Client
from gateway.core.http.subprotocols import Offer
from gateway.core.sessions import keys

SAFE_METHODS = frozenset(method.encode() for method in origins.SAFE_METHODS)


@dataclass(frozen=True, slots=True)
class Description:
    """What a proxy tells about a request beside its head."""

    site: str  # scheme and authority as the browser knows them; empty if they are unknown
    redirects: bool  # the proxy passes a redirect on to the browser


class RequestHead:
    """One request's head.

    Defaults stand on the class, so that an instance costs only the attributes that it sets.
    """

    host: bytes | None = None
    path: bytes  # origin-form without the query, as it came
    query: bytes = b""  # with its question mark, as it came
    passed: list[bytes]  # the field lines that pass, with their CRLF, as they came
    length: int = 0  # Content-Length
    has_length = False
    chunked = False
    close = False  # the client wants the connection closed after the answer
    keep_alive = False  # an HTTP/1.0 client wants it kept open
    named: tuple[bytes, ...] = ()  # the other options of Connection
    upgrade: bytes | None = None  # the protocol that an upgrade asks for, in lower case
    trailers = False  # TE: trailers
    expects_continue = False
    presented_key: bytes | None = None  # after "Bearer ", in a field or in a cookie
    cookie: bytes | None = None  # the name of the cookie that held it
    key_fields: tuple[bytes, ...] = ()  # the field that held it, if not Authorization
    deletions: tuple[str, ...] = ()  # Set-Cookie values that delete cookies, or let one last
    sets_key = False  # one of these holds a key
    login_states: tuple[bytes, ...] = ()  # cookies of a login at a provider that is under way
    authorization: bytes | None = None  # the Authorization line, as it came
    key_cookies: tuple[tuple[bytes, bytes], ...] = ()  # (name, key) of cookies with keys
    disputed = False  # a cookie holds another key than the first cookie or a field
    ambiguous = False  # it presents several keys, and none may be picked by chance
    trace: tuple[bytes, bytes] | None = None  # trace id and flags of a valid traceparent
    forwarding: tuple[tuple[bytes, bytes], ...] = ()  # (folded name, value) to trust or to drop
    client: Client | None = None  # the client, once the fields of a trusted peer have been read
    originals: tuple[tuple[bytes, bytes], ...] = ()  # nginx describes another request by these
    refresh_key: bytes | None = None  # a refresh key in a field
    refresh_cookie: tuple[bytes, bytes] | None = None  # the name of a cookie and its refresh key
    brings_key_aside = False  # a key came in the query, or among subprotocols
    query_key: tuple[bytes, bytes] | None = None  # the name of a parameter, and the key in it
    subprotocols: Offer | None = None  # those of a WebSocket, if a key is among them
    stray_key = False  # a key came in a field where none is read
    purged = False  # a field was dropped that other proxies would pass on
    described: RequestHead | None = None  # the request that this question is about
    description: Description | None = None  # of a described request
    loop = False  # the request has passed through this gateway before
    max_forwards: int | None = None

    def __init__(self, method: bytes, target: bytes, minor: bytes) -> None:
        self.method = method
        self.target = target
        self.old = minor == b"0"  # HTTP/1.0

    def passed_value(self, name: bytes) -> str | None:
        """The value of the first field of this name (in lower case) that passes.

        It is slow, because it looks through all fields. Few requests need it.
        """
        for line in self.passed:
            given, _, value = line.partition(b":")
            if given.lower() == name:
                return value.strip(b" \t\r\n").decode("latin-1")
        return None

    def passed_list(self, name: bytes) -> str | None:
        """The value of a list field in one or several lines (RFC 9110 §5.3). Slow."""
        values = [
            value.strip(b" \t\r\n").decode("latin-1")
            for given, _, value in (line.partition(b":") for line in self.passed)
            if given.lower() == name
        ]
        return ", ".join(values) if values else None

    @property
    def session_ids(self) -> tuple[str, ...]:
        """The ids of the sessions whose keys came.

        The key that counts comes first. Slow.
        """
        return keys.session_ids([self.presented_key or b"", *(key for _, key in self.key_cookies)])

    @property
    def has_body(self) -> bool:
        """Whether a body of at least one byte follows the head."""
        return self.chunked or self.length > 0
