"""One request's head, and how its way through the gateway may end before an upstream."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.http.forwarding import Client
from gateway.core.sessions import keys


@dataclass(frozen=True, slots=True)
class Description:
    """What is known of a request that did not come itself: a proxy has described it."""

    site: str  # scheme and authority as the browser knows them; empty if that is not known
    redirects: bool  # the proxy hands a redirect on to the browser


class RequestHead:
    """One request's head.

    Defaults stand on the class, since a request sets few of them: an instance costs what it uses.
    """

    host: bytes | None = None
    path: bytes  # origin-form without the query, as it came
    query: bytes = b""  # with its question mark, as it came
    passed: list[bytes]  # the field lines that go on, with their CRLF, as they came
    length: int = 0  # what Content-Length says
    has_length = False
    chunked = False
    close = False  # the client wants the connection closed after the answer
    keep_alive = False  # an HTTP/1.0 client wants it kept open
    named: tuple[bytes, ...] = ()  # what Connection names besides
    upgrade: bytes | None = None  # an upgrade that could be granted, lower-cased
    trailers = False  # TE: trailers
    expects_continue = False
    credential: bytes | None = None  # what may be a key: after "Bearer " or in a cookie
    cookie: bytes | None = None  # the name of the cookie that held the credential
    key_fields: tuple[bytes, ...] = ()  # the field that held it, if not Authorization
    deletions: tuple[str, ...] = ()  # Set-Cookie values for the answer, of cookies to be forgotten
    login_states: tuple[bytes, ...] = ()  # cookies of browsers that are on their way to log in
    authorization: bytes | None = None  # the Authorization line, as it came
    key_cookies: tuple[tuple[bytes, bytes], ...] = ()  # the names of cookies with keys, and those
    disputed = (
        False  # its cookies hold another key than the one that came first, or that a field has
    )
    ambiguous = False  # its fields carry several credentials, and none may be picked by chance
    trace: tuple[bytes, bytes] | None = None  # trace id and flags of a valid traceparent
    forwarding: tuple[tuple[bytes, bytes], ...] = ()  # (folded name, value) to trust or to drop
    client: Client | None = None  # who asked, once a trusted peer's word has been read
    originals: tuple[tuple[bytes, bytes], ...] = ()  # those of nginx, which describe a request
    stray_key = False  # a key came in a field in which none is read
    purged = False  # a field was dropped that other proxies would pass on
    described: RequestHead | None = None  # the request that this one asks about
    description: Description | None = None  # beside the head, for one that is asked about
    loop = False  # the request has passed through this gateway before
    max_forwards: int | None = None

    def __init__(self, method: bytes, target: bytes, minor: bytes) -> None:
        self.method = method
        self.target = target
        self.old = minor == b"0"  # HTTP/1.0

    def passed_value(self, name: bytes) -> str | None:
        """The value of the first field of this name (in lower case) among those that go on.

        Slow, as it looks through them all: for what few requests need.
        """
        for line in self.passed:
            given, _, value = line.partition(b":")
            if given.lower() == name:
                return value.strip(b" \t\r\n").decode("latin-1")
        return None

    def passed_list(self, name: bytes) -> str | None:
        """The value of a list field (RFC 9110 §5.3), which may stand in several lines. Slow."""
        values = [
            value.strip(b" \t\r\n").decode("latin-1")
            for given, _, value in (line.partition(b":") for line in self.passed)
            if given.lower() == name
        ]
        return ", ".join(values) if values else None

    @property
    def session_ids(self) -> tuple[str, ...]:
        """The ids of the sessions whose keys came, the one that counts first. Slow."""
        return keys.session_ids([self.credential or b"", *(key for _, key in self.key_cookies)])

    @property
    def has_body(self) -> bool:
        """Whether a body follows the head; one of no bytes is none."""
        return self.chunked or self.length > 0
