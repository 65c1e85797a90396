"""All that reads what clients, upstreams and providers send, as functions of the bytes that come.

Each stands with its name and with the size of what it may get by the defaults of config.yaml.
"""

import base64
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_network

from gateway.core import json_text
from gateway.core.http import (
    forwarding,
    media_types,
    multipart,
    negotiation,
    networks,
    origins,
    paths,
    queries,
    return_paths,
    set_cookies,
    shared_caches,
)
from gateway.core.http.forwarding import Trusted
from gateway.core.http.path_patterns import parse
from gateway.core.http.paths import AmbiguousPath, BackendPaths
from gateway.core.http.routing import Rule
from gateway.core.json_text import NotJson
from gateway.core.logins import (
    authorization_code,
    carriers,
    cookie_logouts,
    denials,
    login_form,
    login_state,
    password_fields,
    passwords,
    pending,
    provider_metadata,
    refresh_tokens,
    reply_claims,
    reply_rewriting,
    reply_tokens,
    throttle_keys,
    token_response,
    token_sending,
    users,
)
from gateway.core.logins.authorization_code import BadAnswer
from gateway.core.logins.carriers import KeyCookie
from gateway.core.logins.denials import is_denial
from gateway.core.logins.login_form import BadLoginForm
from gateway.core.logins.mfa import steps, words
from gateway.core.logins.mfa.replies import any_asks
from gateway.core.logins.provider_metadata import BadMetadata
from gateway.core.logins.replies import Reply, UnreadableReply, nothing_sent
from gateway.core.logins.reply_tokens import NoToken
from gateway.core.logins.request_echo import EchoDetector
from gateway.core.logins.request_readings import UnreadableRequest
from gateway.core.logins.token_places import Auto, JsonPointer
from gateway.core.logins.token_response import BadTokenResponse
from gateway.core.sessions import devices, keys
from gateway.core.sessions.sealing import Sealer
from gateway.core.timestamps import BadTimestamp, parse_timestamp
from gateway.core.tokens import jwt_text
from gateway.core.tokens.claims import BadToken, read_claims
from gateway.core.tokens.minting import BadClaims
from gateway.core.tokens.verifying_keys import BadKey, read_key_set
from gateway.observe.access_log import render
from gateway.observe.access_record import AccessRecord
from gateway.relay.access.route import Route
from gateway.relay.access.route_access import Access, Auth
from gateway.relay.access.route_table import RouteTable
from gateway.relay.http1 import broken_rules
from gateway.relay.http1.bodies import ChunkedBody
from gateway.relay.http1.grammar import HEAD_END, Malformed
from gateway.relay.http1.key_fields import KeyFields
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.http1.request_reader import RequestReader
from gateway.relay.http1.response_head import ResponseReader
from gateway.relay.http1.websocket import Frames
from gateway.relay.outcomes import Refused

# The defaults of config.yaml, in bytes.
HEAD = 32 * 1024
TARGET = 8 * 1024
LONG_TARGET = 4 * TARGET  # as config.yaml may allow it
RESPONSE_HEAD = 64 * 1024
REPLY = 32 * 1024  # of 1 MiB: what grows too fast is seen in a part of it

COOKIE_OF_A_TOKEN = token_sending.InCookie("access_token")
REQUESTS = RequestReader(
    instance="0011223344556677",
    identity=["X-User-Id"],
    max_fields=100,
    key_fields=KeyFields(schemes=("Bearer",), fields=("X-Key",)),
)
RESPONSES = ResponseReader(own_cookies={b"latchkey"})

Read = Callable[[bytes], object]


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


def _of(read: Read, *errors: type[Exception]) -> Read:
    """A reader of bytes, whatever it says of them."""

    def of_bytes(text: bytes) -> None:
        with suppress(*errors):
            read(text)

    return of_bytes


def _choice(field: str) -> object:
    return carriers.choose("auto", content_type=field, accept="", requested_with="", wanted="")


def _account(body: bytes) -> None:
    throttle_keys.of_request(
        ["username"],
        query="",
        content_type="multipart/form-data; boundary=a",
        content_encoding="",
        authorization="",
        body=body,
    )


def _account_in_field(field: str) -> None:
    throttle_keys.of_request(
        ["username"],
        query=f"?username={field}"[:TARGET],
        content_type=f"multipart/form-data; boundary={field}",
        content_encoding="",
        authorization=f"Basic {field}",
        body=b"--a",
    )


_A_PART = b"--x\r\nContent-Disposition: form-data; name=%b"


def _table(path: bytes) -> object:
    """Routes as a configuration may have them."""
    route = Route("/api/*", Access(Auth.PUBLIC))
    head = RequestHead(b"GET", path, b"1")
    head.path = path
    rules = [
        Rule(parse("/api/*"), None, route),
        Rule(parse("/*"), ["GET"], route),
        Rule(parse("/a/b.c"), None, route),
        Rule(parse("/{a}/{b}/c/*"), None, route),
        Rule(parse("/{a}/*.css"), None, route),
    ]
    return RouteTable([], rules, logins=BackendPaths([b"/login"])).match(head)


def _client(field: bytes) -> Read:
    """Who asked, by a proxy that is trusted."""
    trusted = Trusted([ip_network("1.0.0.0/8")])
    return lambda text: forwarding.client("1.1.1.1", [(field, _in_line(text))], trusted)


def _record(path: bytes) -> bytes:
    """The line of the access log for a request."""
    record = AccessRecord(0.0, b"", b"", b"", path, 0, 0, 0, 0.0, 0.0, b"", b"", b"", "", "")
    return render(record, b"")


def _set_cookie(value: str) -> None:
    cookie = set_cookies.read(value)
    set_cookies.is_deletion(cookie, 0)
    set_cookies.place(value, "/")
    cookie_logouts.deletions([value], {"sub": "a"}, 0)


def _caching(line: bytes) -> None:
    shared_caches.confined((b"cache-control: " + line,), (b"cookie",), private=True)
    shared_caches.confined((b"vary: " + line,), (b"cookie",), private=True)


def _login_state_cookies(value: str) -> None:
    like = KeyCookie("latchkey", secure=False)
    cookies = dict.fromkeys(value.split(";"), "")
    login_state.deletions_if_too_many(cookies, like, [])
    login_state.find({}, value, "/", like, Sealer(["s" * 16]), 0)


def _in_payload(text: bytes) -> None:
    """Within a token that is spelled as it should be."""
    for claims_ in _jsons(text):
        payload = base64.urlsafe_b64encode(claims_).decode()
        with suppress(BadToken):
            read_claims(f"eyJhbGciOiJIUzI1NiJ9.{payload}.aaaa", 0)


def _callback(query: str) -> object:
    return authorization_code.state_in("?state=" + query)


TARGETS: list[tuple[str, Read, int]] = [
    ("paths", _of(paths.read, AmbiguousPath), LONG_TARGET),
    ("paths below", _of(lambda path: paths.read(b"/" + path), AmbiguousPath), LONG_TARGET),
    ("routes", _of(lambda path: _table(b"/" + path)), LONG_TARGET),
    ("keys", keys.holds_key, LONG_TARGET),
    ("log", _record, LONG_TARGET),
    ("way back", _in_text(lambda path: return_paths.login_url("/in", "/" + path)), LONG_TARGET),
    (
        "callback",
        _in_text(lambda query: authorization_code.state_in("?state=" + query), BadAnswer),
        LONG_TARGET,
    ),
]

FIELD_VALUES: list[tuple[str, Read, int]] = [
    ("Accept", _in_text(lambda field: negotiation.prefers(field, "a/b", "c/d")), HEAD),
    ("Accept-Language", _in_text(lambda field: negotiation.language(field, ["en", "ko"])), HEAD),
    (
        "Origin",
        _in_text(lambda field: origins.is_own_site(site=None, origin=field, host="a")),
        HEAD,
    ),
    (
        "Host of a page",
        _in_text(lambda field: origins.is_own_site(site=None, origin="a", host=field)),
        HEAD,
    ),
    ("User-Agent", _in_text(devices.label), HEAD),
    ("X-Forwarded-For of a proxy", _client(b"x-forwarded-for"), HEAD),
    ("Forwarded of a proxy", _client(b"forwarded"), HEAD),
    ("X-Forwarded-Proto of a proxy", _client(b"x-forwarded-proto"), HEAD),
    ("X-Forwarded-Host of a proxy", _client(b"x-forwarded-host"), HEAD),
    ("cookies of login states", _in_text(_login_state_cookies), HEAD),
    ("Authorization of a key", keys.stands_in_authorization, HEAD),
    ("a parameter of a query", lambda text: queries.cut(b"?" + text, b"access_token"), HEAD),
    (
        "the cookie of a token",
        lambda text: token_sending.put(COOKIE_OF_A_TOKEN, b"t", b"/", [b"Cookie: %b\r\n" % text]),
        HEAD,
    ),
    ("Set-Cookie", _in_text(_set_cookie), RESPONSE_HEAD),
    ("Cache-Control", lambda line: _caching(_in_line(line)), RESPONSE_HEAD),
    ("broken status line", broken_rules.of_status_line, RESPONSE_HEAD),
    ("broken fields", broken_rules.of_fields, RESPONSE_HEAD),
    ("token", _in_text(lambda token: read_claims(token, 0), BadToken), HEAD),
    ("payload", _in_payload, HEAD),
    ("moment", _in_text(parse_timestamp, BadTimestamp), TARGET),
    ("essence", _in_text(media_types.essence), HEAD),
    ("parameter", _in_text(lambda field: media_types.parameter("a/b;" + field, "a")), HEAD),
    ("carrier", _in_text(_choice), HEAD),
    ("account in a field", _in_text(_account_in_field), HEAD),
    ("network", _in_text(networks.network), HEAD),
]


def _sent(text: bytes) -> None:
    """What a client has sent, looked through for a token."""
    EchoDetector("", [("X-A", text.decode("latin-1"))], text).is_echo("eyJhbGciOiJIUzI1NiJ9.e30.a")


def _counted(text: bytes) -> None:
    """What a guess may be counted by."""
    with suppress(UnreadableRequest):
        password_fields.count(EchoDetector("", [], text).texts())
    EchoDetector("", [], text).may_set("mfa")
    EchoDetector("", [], text).may_hold(words.CODE_NAMES)
    shown = text.decode("latin-1")
    steps.read([("a", shown), (shown, "a")], [("Authorization", shown), ("Cookie", shown)])


BODIES: list[tuple[str, Read, int]] = [
    ("sent", _sent, 16 * 1024),
    ("counted", _counted, 16 * 1024),
    ("name of a user", _in_text(users.folded), 16 * 1024),
    ("password", _in_text(passwords._folded), 16 * 1024),
    ("frames", lambda data: Frames().feed(data), 250 * 1024),
    ("account in a body", _account, 8 * 1024),
    ("account's name", _in_text(throttle_keys.folded), 8 * 1024),
    ("form in parts", lambda body: list(multipart.fields("a/b; boundary=a", body)), 64 * 1024),
    (
        "part's head",
        lambda text: list(multipart.fields("a/b;boundary=x", _A_PART % text + b"\r\n\r\nz")),
        64 * 1024,
    ),
    (
        "form",
        _in_text(lambda text: login_form.read(media_types.FORM, text.encode()), BadLoginForm),
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


def _in_json(read: Read, *errors: type[Exception]) -> Read:
    """A reader of a document, for what is drawn in it."""

    def of_bytes(text: bytes) -> None:
        for body in _jsons(text):
            with suppress(*errors):
                read(body)

    return of_bytes


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
    reply_tokens.find(reply, Auto(), EchoDetector("", [], reply.body).is_echo)


def _provider(data: bytes) -> object:
    return provider_metadata.read(data, "https://a.example")


_A_PLACE = JsonPointer("/refresh_token/0/a")
_IN_DATA = JsonPointer("/data/a/b")
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
    ("find anywhere", _of_reply(lambda reply: reply_tokens.find(reply, Auto())), REPLY),
    ("find at a place", _of_reply(lambda reply: reply_tokens.find(reply, _A_PLACE)), REPLY),
    ("scrub", _of_reply(reply_rewriting.scrub), REPLY),
    ("says no", _of_reply(lambda reply: denials.says_no(reply, _A_PLACE)), REPLY),
    ("any denies", _of_reply(denials.any_denies), REPLY),
    ("tokens of a first step", _of_reply(lambda reply: pending.tokens(reply, 17)), REPLY),
    ("other tokens", _of_reply(lambda reply: pending.holds_other_tokens(reply, _IN_DATA)), REPLY),
    ("may hand out", _of_reply(lambda reply: denials.may_hand_out(reply, _A_PLACE)), REPLY),
    ("find what was sent", _of_reply(_find_what_was_sent), REPLY),
    ("refresh token", _of_reply(lambda reply: refresh_tokens.find(reply, Auto())), REPLY),
    (
        "claims",
        _of_reply(lambda reply: reply_claims.collect(reply, [("sub", _A_PLACE, True)])),
        REPLY,
    ),
    ("JWTs", _in_text(lambda text: list(jwt_text.spans(text))), REPLY),
    ("first step", _of_reply(lambda reply: steps.handed_out(reply, nothing_sent)), REPLY),
    ("denial", _of_json(lambda text: is_denial(json_text.document(text))), REPLY),
    ("second step", _of_json(lambda text: any_asks(json_text.document(text))), REPLY),
    (
        "provider",
        _in_json(lambda data: provider_metadata.read(data, "https://a"), BadMetadata),
        REPLY,
    ),
    ("keys of a provider", _in_json(read_key_set, BadKey), REPLY),
    ("tokens of a provider", _in_json(token_response.read, BadTokenResponse), REPLY),
]

READERS = [*HEADS, *TARGETS, *FIELD_VALUES, *BODIES, *REPLIES]
