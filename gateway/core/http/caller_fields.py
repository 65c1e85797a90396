"""The fields X-Latchkey-*, by which the endpoints learn of a caller.

The relay adds them to requests to the gateway's own endpoints.

No client and no upstream can send one: the relay drops every spelling of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from gateway.core.http.field_names import OWN_PREFIX, fold

SESSION = "X-Latchkey-Session"  # the id of the session whose key counts
CARRIER = "X-Latchkey-Carrier"  # how a key came, or what came in the place of one
COOKIE = "X-Latchkey-Cookie"  # the cookie of the key that counts, as its session keeps it
OTHER_COOKIES = "X-Latchkey-Other-Cookies"  # the names of the other cookies with keys
OTHER_SESSIONS = "X-Latchkey-Others"  # the ids of their sessions
UNREAD = "X-Latchkey-Unread"  # the reason why a key that came opens nothing
LOGIN_STATES = "X-Latchkey-Login-States"  # the cookies of a browser that is on its way to log in
CAPTURE = "X-Latchkey-Capture"  # the number of the rule whose replies are read as a whole
REFRESH_KEY = "X-Latchkey-Refresh-Key"  # a refresh key that came in a field
REFRESH_COOKIE = "X-Latchkey-Refresh-Cookie"  # the name of a cookie, and the refresh key in it
AUTHORIZATION = "X-Latchkey-Authorization"  # the client's own, beside its session's token
SENDING = "X-Latchkey-Sending"  # how the session's token came (see `core.logins.token_sending`)
KEY = "X-Latchkey-Key"  # the key itself, where it has to open and seal its session

# The values of CARRIER.
Carrier = Literal["header", "cookie"]
BY_HEADER: Carrier = "header"
BY_COOKIE: Carrier = "cookie"


def line(name: str, value: bytes) -> bytes:
    """A field line."""
    return b"%b: %b\r\n" % (name.encode(), value)


def removed(fields: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The fields without the gateway's own, in any spelling."""
    for name, value in fields:
        if not fold(name.encode("utf-8", "surrogateescape")).startswith(OWN_PREFIX):
            yield name, value
