"""No reader takes more time than its input is worth: twice as much takes about twice as long.

Each test gives one kind of input, as large as the limits allow it to be, in shapes that parsers
have been slow with: the same few bytes over and over, after something and before something.
"""

import base64
import json
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from gateway.core import (
    accounts,
    carriers,
    claims,
    credentials,
    json_text,
    jwts,
    media_types,
    multipart,
    refresh_tokens,
    swaps,
)
from gateway.core.credentials import BadLogin
from gateway.core.json_text import NotJson
from gateway.core.minting import BadClaims
from gateway.core.replies import Reply, UnreadableReply
from gateway.core.request_echo import EchoDetector
from gateway.core.swaps import NoToken
from gateway.core.token_places import Auto, JsonPointer
from gateway.core.tokens import BadToken
from gateway.relay.bodies import ChunkedBody
from gateway.relay.grammar import HEAD_END, Malformed
from gateway.relay.heads import Refused
from gateway.relay.requests import RequestReader
from gateway.relay.responses import ResponseReader
from tests.support.growth import PLAIN_SHAPES, Shape, assert_grows_fairly, shapes

# The defaults of config.yaml, in bytes.
HEAD = 32 * 1024
TARGET = 8 * 1024
RESPONSE_HEAD = 64 * 1024
REPLY = 64 * 1024  # of 1 MiB: what grows too fast is seen in a sixteenth of it

REQUESTS = RequestReader(
    instance="0011223344556677", identity=["X-User-Id"], most_fields=100, key_field="X-Key"
)
RESPONSES = ResponseReader(own_cookies={b"latchkey"})

Read = Callable[[bytes], object]

# A shape that fails is short already, and to look for a shorter one would take very long.
few = settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)


def _request(data: bytes) -> None:
    with suppress(Refused):
        REQUESTS.read(data, data.find(HEAD_END))


def _in_field(name: bytes) -> Read:
    start = b"GET / HTTP/1.1\r\nHost: a.example\r\n" + name + b": "
    return lambda text: _request(start + _in_line(text) + b"\r\n" + b"X: y\r\n" * 90 + b"\r\n")


def _in_line(text: bytes) -> bytes:
    """The text without what would end a field line or a head, so that all of it is read as one."""
    return text.replace(b"\r", b"").replace(b"\n", b"").replace(b"\0", b"")


def _lines(text: bytes) -> None:
    _request(b"GET / HTTP/1.1\r\nHost: a.example\r\n" + text.replace(b"\r\n\r\n", b"") + HEAD_END)


def _request_line(text: bytes) -> None:
    _request(b"GET /" + text.replace(b"\r\n\r\n", b"") + b" HTTP/1.1\r\nHost: a.example" + HEAD_END)


def _response(text: bytes) -> None:
    data = b"HTTP/1.1 200 OK\r\n" + text.replace(b"\r\n\r\n", b"") + HEAD_END
    with suppress(Malformed):
        RESPONSES.read(data, data.find(HEAD_END))


def _trailers(text: bytes) -> None:
    with suppress(Malformed):
        ChunkedBody().feed(b"0\r\n" + text + HEAD_END)


def _chunks(text: bytes) -> None:
    with suppress(Malformed):
        ChunkedBody().feed(text)


FIELDS = [
    b"Host",
    b"Content-Length",
    b"Transfer-Encoding",
    b"Connection",
    b"Authorization",
    b"Cookie",
    b"Expect",
    b"Upgrade",
    b"TE",
    b"Via",
    b"Traceparent",
    b"Max-Forwards",
    b"X-Key",
    b"X-Forwarded-For",
    b"Forwarded",
    b"X-Original-Uri",
    b"X-Unknown",
]
HEADS: list[tuple[str, Read, int]] = [
    ("lines", _lines, HEAD),
    ("request line", _request_line, HEAD),
    ("response", _response, RESPONSE_HEAD),
    ("trailers", _trailers, 16 * 1024),
    ("chunks", _chunks, 250 * 1024),
    *[(name.decode(), _in_field(name), HEAD) for name in FIELDS],
]


def _in_text(read: Callable[[str], object], *errors: type[Exception]) -> Read:
    """A reader of texts. What it says of a text that is none is not the point here."""

    def of_bytes(text: bytes) -> None:
        with suppress(*errors):
            read(text.decode("utf-8", "replace"))

    return of_bytes


def _choice(field: str) -> object:
    return carriers.choose("auto", content_type=field, accept="", requested_with="", wanted="")


def _account(body: bytes) -> None:
    accounts.typed(
        ["username"],
        query="",
        content_type="multipart/form-data; boundary=a",
        content_encoding="",
        authorization="",
        body=body,
    )


def _account_in_field(field: str) -> None:
    accounts.typed(
        ["username"],
        query=f"?username={field}"[:TARGET],
        content_type=f"multipart/form-data; boundary={field}",
        content_encoding="",
        authorization=f"Basic {field}",
        body=b"--a",
    )


_A_PART = b"--x\r\nContent-Disposition: form-data; name=%b"

FIELD_VALUES: list[tuple[str, Read, int]] = [
    ("essence", _in_text(media_types.essence), HEAD),
    ("parameter", _in_text(lambda field: media_types.parameter("a/b;" + field, "a")), HEAD),
    ("carrier", _in_text(_choice), HEAD),
    ("account in a field", _in_text(_account_in_field), HEAD),
    ("network", _in_text(accounts.network), HEAD),
]
BODIES: list[tuple[str, Read, int]] = [
    ("account in a body", _account, 8 * 1024),
    ("account's name", _in_text(accounts.folded), 8 * 1024),
    ("form in parts", lambda body: list(multipart.fields("a/b; boundary=a", body)), 64 * 1024),
    (
        "part's head",
        lambda text: list(multipart.fields("a/b;boundary=x", _A_PART % text + b"\r\n\r\nz")),
        64 * 1024,
    ),
    (
        "form",
        _in_text(lambda text: credentials.read(media_types.FORM, text.encode()), BadLogin),
        16 * 1024,
    ),
]


def _balanced(text: bytes) -> bytes:
    """What is drawn, with all that it begins ended."""
    ends = {b"[": b"]", b"{": b"}"}
    begun = (text[at : at + 1] for at in range(len(text) - 1, -1, -1))
    return text + b"".join(ends[mark] for mark in begun if mark in ends)


def _jsons(text: bytes) -> list[bytes]:
    """JSON, if what is drawn can be a part of it: all, a string's inside, or elements of a list."""
    return [
        _balanced(text),
        b'{"refresh_token": [{"a": "%b"}]}' % text,
        b'{"refresh_token": [%b]}' % text,
    ]


def _of_json(read: Callable[[str], object]) -> Read:
    def of_bytes(text: bytes) -> None:
        for body in _jsons(text):
            with suppress(NotJson):
                read(body.decode("latin-1"))

    return of_bytes


def _of_reply(read: Callable[[Reply], object]) -> Read:
    """A reader of replies, for what is drawn as it is, and in JSON."""

    def of_bytes(text: bytes) -> None:
        for body in (text, *_jsons(text)):
            with suppress(UnreadableReply, NotJson, NoToken, BadToken, BadClaims):
                read(Reply(200, (("Content-Type", media_types.JSON),), body))

    return of_bytes


def _find_what_was_sent(reply: Reply) -> None:
    """In a reply that repeats the whole request."""
    swaps.find(reply, Auto(), EchoDetector("", [], reply.body).is_echo)


_A_PLACE = JsonPointer("/refresh_token/0/a")
_HERE = ("refresh_token", "0", "a")

REPLIES: list[tuple[str, Read, int]] = [
    ("strings", _of_json(json_text.strings), REPLY),
    ("value", _of_json(json_text.value), REPLY),
    (
        "values at",
        _of_json(lambda text: json_text.values_at(json_text.document(text), _HERE)),
        REPLY,
    ),
    ("text", _of_reply(Reply.text), REPLY),
    ("members", _of_reply(Reply.members), REPLY),
    ("find anywhere", _of_reply(lambda reply: swaps.find(reply, Auto())), REPLY),
    ("find at a place", _of_reply(lambda reply: swaps.find(reply, _A_PLACE)), REPLY),
    ("scrub", _of_reply(swaps.scrub), REPLY),
    ("says no", _of_reply(lambda reply: swaps.says_no(reply, _A_PLACE)), REPLY),
    ("may hand out", _of_reply(lambda reply: swaps.may_hand_out(reply, _A_PLACE)), REPLY),
    ("find what was sent", _of_reply(_find_what_was_sent), REPLY),
    ("refresh token", _of_reply(lambda reply: refresh_tokens.find(reply, Auto())), REPLY),
    ("claims", _of_reply(lambda reply: claims.collect(reply, [("sub", _A_PLACE, True)])), REPLY),
    ("JWTs", _in_text(lambda text: list(jwts.spans(text))), REPLY),
]

ALL = [*HEADS, *FIELD_VALUES, *BODIES, *REPLIES]


@pytest.mark.parametrize(
    ("read", "largest"), [each[1:] for each in ALL], ids=[each[0] for each in ALL]
)
class TestGrowth:
    @few
    @given(shapes)
    def test_of_drawn_shapes(self, read: Read, largest: int, shape: Shape) -> None:
        """Whatever is read is read in about linear time."""
        assert_grows_fairly(read, shape, largest)

    def test_of_each_atom(self, read: Read, largest: int) -> None:
        """The same for each thing by itself that readers look for."""
        for shape in PLAIN_SHAPES:
            assert_grows_fairly(read, shape, largest)


def test_tokens_that_a_client_has_sent_in_numbers() -> None:
    """A reply that repeats a request which is made of tokens takes no look at each of them."""

    def find(text: bytes) -> None:
        tokens = [f"eyJhbGciOiJIUzI1NiJ9.e30.{number:04}" for number in range(len(text) // 33)]
        body = json.dumps(tokens).encode()
        sent = EchoDetector("", [], base64.b64encode(base64.b64encode(body)))
        with suppress(NoToken, BadToken):
            swaps.find(Reply(200, (), body), Auto(), sent.is_echo)

    assert_grows_fairly(find, Shape(b"", b"a", b""), 4 * REPLY)
