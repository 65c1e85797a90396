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
    """A proxy's description of a request, beside its head."""

    site: str  # scheme and authority as the browser knows them; empty if they are unknown
    redirects: bool  # the proxy passes a redirect on to the browser


class RequestHead:
    """One request's head.

    Each attribute has a slot: to read a default from the class takes ten times as long
    (CPython 3.11).
    """

    __slots__ = (
        "ambiguous",
        "authorization",
        "brings_key_aside",
        "chunked",
        "client",
        "close",
        "cookie",
        "cookie_settings",
        "described",
        "description",
        "disputed",
        "expects_continue",
        "forwarding",
        "has_length",
        "host",
        "keep_alive",
        "key_cookies",
        "key_fields",
        "length",
        "login_states",
        "loop",
        "max_forwards",
        "method",
        "named",
        "old",
        "originals",
        "passed",
        "path",
        "presented_key",
        "purged",
        "query",
        "query_key",
        "refresh_cookie",
        "refresh_key",
        "sets_key",
        "stray_key",
        "subprotocols",
        "takes_trailers",
        "target",
        "trace",
        "upgrade",
    )

    def __init__(self, method: bytes, target: bytes, minor: bytes) -> None:
        self.method = method
        self.target = target
        self.old = minor == b"0"  # HTTP/1.0
        self.host: bytes | None = None
        self.path = b""  # origin-form without the query, as it came
        self.query = b""  # with its question mark, as it came
        self.passed: list[bytes] = []  # the field lines that pass, with their CRLF, as they came
        self.length = 0  # Content-Length
        self.has_length = False
        self.chunked = False
        self.close = False  # the client wants the connection closed after the answer
        self.keep_alive = False  # an HTTP/1.0 client wants it kept open
        self.named: tuple[bytes, ...] = ()  # the other options of Connection
        self.upgrade: bytes | None = None  # the protocols that it asks for, in lower case
        self.takes_trailers = False  # TE: trailers
        self.expects_continue = False
        self.presented_key: bytes | None = None  # after "Bearer ", in a field or in a cookie
        self.cookie: bytes | None = None  # the name of the cookie that held it
        self.key_fields: tuple[bytes, ...] = ()  # the field that held it, if not Authorization
        # Set-Cookie values that delete cookies, or let one last.
        self.cookie_settings: tuple[str, ...] = ()
        self.sets_key = False  # one of these holds a key
        # Cookies of a login at a provider that is under way.
        self.login_states: tuple[bytes, ...] = ()
        self.authorization: bytes | None = None  # the Authorization line, as it came
        self.key_cookies: tuple[tuple[bytes, bytes], ...] = ()  # (name, key) of cookies with keys
        self.disputed = False  # a cookie holds another key than the first cookie or a field
        self.ambiguous = False  # it presents several keys, and none may be picked by chance
        self.trace: tuple[bytes, bytes] | None = None  # trace id and flags of a valid traceparent
        # (folded name, value) to trust or to drop.
        self.forwarding: tuple[tuple[bytes, bytes], ...] = ()
        # The client, once the fields of a trusted peer have been read.
        self.client: Client | None = None
        # nginx describes another request by these.
        self.originals: tuple[tuple[bytes, bytes], ...] = ()
        self.refresh_key: bytes | None = None  # a refresh key in a field
        # The name of a cookie and its refresh key.
        self.refresh_cookie: tuple[bytes, bytes] | None = None
        self.brings_key_aside = False  # a key came in the query, or among subprotocols
        # The name of a parameter, and the key in it.
        self.query_key: tuple[bytes, bytes] | None = None
        self.subprotocols: Offer | None = None  # those of a WebSocket, if a key is among them
        self.stray_key = False  # a key came in a field where none is read
        self.purged = False  # a field was dropped that other proxies would pass on
        self.described: RequestHead | None = None  # the request that this question is about
        self.description: Description | None = None  # of a described request
        self.loop = False  # the request has passed through this gateway before
        self.max_forwards: int | None = None

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
