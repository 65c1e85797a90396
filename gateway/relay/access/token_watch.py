"""JWTs in a route's JSON replies: noticed, or kept from the client.

A backend may hand out tokens at a path that no `login` names, such as a sign-up. A route that warns
looks at some of its replies, and at the beginning of each alone: so it costs nothing that could be
measured. A route that refuses looks at all of its JSON, and lets nothing of it go before it has.
"""

from __future__ import annotations

import logging
import re
import string
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol

import brotli

from gateway.core.http import media_types
from gateway.core.tokens import jwt_text
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.http1.response_head import ResponseHead

_log = logging.getLogger("gateway.relay")

# How many replies a route that warns looks at in a minute. Replies to other methods than GET hand
# out most tokens, and are fewer.
_MAX_SAFE = 20
_MAX_OTHER = 200
_WINDOW_SECONDS = 60.0

# A reply that is no JSON counts as so much of one: finding that out takes time as well.
_COST_OF_OTHERS = 0.1

# How much of a reply it looks at (bytes), as it came and decoded. Replies of logins are shorter.
_MAX_SAMPLE_BYTES = 16384

# How much a route that refuses holds back before the client gets the head (bytes). A token behind
# that cuts the reply.
_MAX_HELD_BYTES = 65536

# JSON may write a character as an escape (RFC 8259 §7), as Django's `escapejs` does with `-`.
_ESCAPE = re.compile(rb"\\u00([2-7][0-9A-Fa-f])")

# A text with these at its end may end within a token.
_OF_TOKENS = string.ascii_letters.encode() + string.digits.encode() + b"_.-\\"

# How much of such an end is kept (bytes): no token is longer, with a few escapes.
_MAX_TOKEN_BYTES = 32768

# Of a path, in the log.
_MAX_PATH_CHARACTERS = 200

_EITHER_FRAME = 32 + zlib.MAX_WBITS  # of gzip or zlib: see `zlib.decompressobj`

# The metric gets the route's name.
Tell = Callable[[str], None]


class TokenFound(Exception):
    """A reply holds a JWT, or cannot be looked into, and is refused."""


class Inspection(Protocol):
    """Looks at one reply."""

    def passed(self, pieces: list[bytes]) -> list[bytes] | None:
        """The pieces of the body that go on now. None: all is held back.

        Raises `TokenFound`.
        """

    def ended(self) -> list[bytes]:
        """The pieces that were held back, at the end of the body.

        Raises `TokenFound`.
        """


class TokenWatch:
    """What one route does about JWTs in its replies."""

    def __init__(self, route: str = "", tell: Tell | None = None, *, refuses: bool = False) -> None:
        """`tell` is called with the route's name at the first token.

        With None, it looks at nothing.
        """
        self.refuses = refuses
        self.looks_at_get = self.looks_at_others = tell is not None
        self._route = route
        self._tell = tell
        self._left: dict[bool, float] = {True: _MAX_SAFE, False: _MAX_OTHER}  # by: it was a GET

    def inspection(
        self, request: RequestHead, response: ResponseHead, *, streams: bool = False
    ) -> Inspection | None:
        """The inspection of the reply to a request; None without one.

        Raises `TokenFound`.

        streams: the reply is a stream, whatever its type
        """
        if self.refuses:
            return _guard(response, streams=streams)
        is_json = _is_json(response.passed)
        self._left[request.method == b"GET"] -= 1 if is_json else _COST_OF_OTHERS
        self._update()
        return _Sample(self, request, response) if is_json else None

    def begin_window(self) -> None:
        """Begin another minute of looking."""
        if self._tell is not None:
            self._left = {True: _MAX_SAFE, False: _MAX_OTHER}
            self._update()

    def found(self, request: RequestHead) -> None:
        """Tell of the first token, and look no more."""
        if self._tell is None or self.refuses:
            return
        self._tell(self._route)
        self._tell, self._left = None, {True: 0, False: 0}
        self._update()
        _log.warning(
            "route %s: the reply to %s %s gave a JWT to the client: is that path a login? "
            "`login` or `captures` would keep it here, and `tokens: refuse` hides it",
            self._route,
            request.method.decode("latin-1"),
            request.path.decode("latin-1")[:_MAX_PATH_CHARACTERS],
        )

    def _update(self) -> None:
        """Tell the relay, which asks with each reply, whether anything is to do."""
        self.looks_at_get = self.refuses or self._left[True] > 0
        self.looks_at_others = self.refuses or self._left[False] > 0


# The watch of routes whose replies are read elsewhere.
UNWATCHED = TokenWatch()


class _Sample:
    """Looks at the beginning of a reply, which goes on as it comes."""

    def __init__(self, watch: TokenWatch, request: RequestHead, response: ResponseHead) -> None:
        self._watch = watch
        self._request = request
        self._response = response
        self._seen = b""

    def passed(self, pieces: list[bytes]) -> list[bytes]:
        if len(self._seen) < _MAX_SAMPLE_BYTES:
            self._seen = b"".join([self._seen, *pieces])[:_MAX_SAMPLE_BYTES]
        return pieces

    def ended(self) -> list[bytes]:
        head = b"".join(self._response.passed)
        if _holds_token(head) or _holds_token(_decoded(self._seen, self._response)):
            self._watch.found(self._request)
        return []


class _Guard:
    """Holds a reply back until it is known that it holds no token.

    Of a stream, it holds back the end of a piece alone, where a token may have begun.
    """

    def __init__(self, *, streams: bool) -> None:
        self._held = b""
        self._has_begun = streams  # the client has the reply's beginning

    def passed(self, pieces: list[bytes]) -> list[bytes] | None:
        text = b"".join([self._held, *pieces])
        if not self._has_begun and len(text) <= _MAX_HELD_BYTES:
            self._held = text
            return None
        self._has_begun = True
        if _holds_token(text):
            raise TokenFound
        at = max(len(text.rstrip(_OF_TOKENS)), len(text) - _MAX_TOKEN_BYTES)
        self._held = text[at:]
        return [text[:at]] if at else []

    def ended(self) -> list[bytes]:
        text, self._held = self._held, b""
        if _holds_token(text):
            raise TokenFound
        return [text] if text else []


def _guard(response: ResponseHead, *, streams: bool) -> _Guard | None:
    """The guard of a reply; None if it is no JSON. Raises `TokenFound`."""
    if _holds_token(b"".join(response.passed)):
        raise TokenFound
    if not _is_json(response.passed):
        return None
    if _value(response.passed, b"content-encoding") not in ("", "identity"):
        raise TokenFound  # it was asked for without a coding (see `upstream_request`)
    return _Guard(streams=streams or response.is_event_stream)


def _holds_token(text: bytes) -> bool:
    """Whether a JWT stands in a text, also in one of wide characters or with escapes."""
    text = text.replace(b"\0", b"")
    if b"\\u00" in text:
        text = _ESCAPE.sub(_unescaped, text)
    return b"e" in text and bool(jwt_text.first(text.decode("latin-1")))


def _unescaped(escape: re.Match[bytes]) -> bytes:
    return bytes([int(escape[1], 16)])


class TokenWatches:
    """The watches of all routes, whose minutes begin together."""

    def __init__(self) -> None:
        self._watches: list[TokenWatch] = []
        self._window_ends = 0.0

    def add(self, watch: TokenWatch) -> None:
        """Keep one more watch."""
        self._watches.append(watch)

    def sweep(self, now: float) -> None:
        """Begin another minute of looking, if the last one is over (`now` is monotonic)."""
        if now >= self._window_ends:
            self._window_ends = now + _WINDOW_SECONDS
            for watch in self._watches:
                watch.begin_window()


def _is_json(lines: Iterable[bytes]) -> bool:
    """Whether an answer with these lines is one JSON text, and no sequence."""
    kind = media_types.essence(_value(lines, b"content-type"))
    return kind in (media_types.JSON, "text/json") or kind.endswith("+json")


def _value(lines: Iterable[bytes], name: bytes) -> str:
    """The value of the first field of this name (in lower case), or ""."""
    for line in lines:
        given, _, value = line.partition(b":")
        if given.lower() == name:
            return value.strip(b" \t\r\n").decode("latin-1").lower()
    return ""


def _decoded(sample: bytes, response: ResponseHead) -> bytes:
    """The beginning of a body without its coding, if it is a usual one."""
    coding = _value(response.passed, b"content-encoding")
    if coding in ("", "identity"):
        return sample
    with suppress(zlib.error, brotli.error):
        if coding == "br":
            decompressor = brotli.Decompressor()
            return bytes(decompressor.process(sample, output_buffer_limit=_MAX_SAMPLE_BYTES))
        return zlib.decompressobj(_EITHER_FRAME).decompress(sample, _MAX_SAMPLE_BYTES)
    return b""
