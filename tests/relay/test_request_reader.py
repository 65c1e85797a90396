"""How a request's head is read: what is noted of it, what passes, and what refuses it."""

import pytest

from gateway.core.http import refusals
from gateway.core.http.refusals import Refusal
from gateway.core.sessions.keys import new_key
from gateway.relay.http1.field_rules import MAX_NAME_BYTES, MAX_NAMES, FieldRules
from gateway.relay.http1.grammar import HEAD_END
from gateway.relay.http1.key_fields import KeyFields
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.http1.request_reader import RequestReader
from gateway.relay.outcomes import Refused

KEY, OTHER_KEY = (new_key(bytes([number]) * 32).reveal().encode() for number in (1, 2))

READER = RequestReader(
    instance="0011223344556677",
    identity=["X-User-Id"],
    max_fields=8,
    key_fields=KeyFields(schemes=("Bearer",), fields=("X-Key",)),
)


def read(*lines: bytes, target: bytes = b"/", method: bytes = b"GET") -> RequestHead:
    data = b"%b %b HTTP/1.1\r\nHost: a\r\n" % (method, target)
    data += b"".join(line + b"\r\n" for line in lines) + b"\r\n"
    return READER.read(data, len(data) - len(HEAD_END))


def refusal_of(*lines: bytes, target: bytes = b"/") -> Refusal | None:
    try:
        read(*lines, target=target)
    except Refused as refused:
        return refused.refusal
    return None


def test_a_field_without_a_rule_passes_byte_for_byte() -> None:
    """wire-rules.md#B2: in order, with its case, its white space and its repetitions."""
    lines = [b"X-A:  1 ", b"x-a: 2", b"X-B: \xff"]
    assert read(*lines).passed == [line + b"\r\n" for line in lines]


@pytest.mark.parametrize(
    "line",
    [
        b"X-User-Id: root",
        b"X_User_Id: root",
        b"X-Latchkey-Session: s",
        b"x_latchkey.session: s",
        b"X-Forwarded-For: 192.0.2.1",
        b"X-Real_IP: 192.0.2.1",
        b"X-HTTP-Method-Override: DELETE",
        b"Keep-Alive: timeout=5",
        b"Authorization: Basic x",
        b"X-Custom: " + KEY,
    ],
)
def test_a_field_of_the_gateways_own_does_not_pass(line: bytes) -> None:
    """wire-rules.md#B11: in no spelling that folds to it, and no key in whatever field."""
    assert read(line).passed == []


def test_a_field_that_connection_names_does_not_pass() -> None:
    """wire-rules.md#B1: it speaks of the connection alone."""
    head = read(b"Connection: close, X-Hop", b"X-Hop: 1", b"X-End: 2")
    assert (head.passed, head.close) == ([b"X-End: 2\r\n"], True)


@pytest.mark.parametrize(
    ("lines", "presented_key", "cookie"),
    [
        ((b"Authorization: Bearer " + KEY,), KEY, None),
        ((b"authorization: bEARER " + KEY,), KEY, None),
        ((b"X-Key: " + KEY,), KEY, None),
        ((b"Cookie: a=b; latchkey=" + KEY,), KEY, b"latchkey"),
        ((b"Cookie: sid=" + KEY, b"Authorization: Bearer " + KEY), KEY, None),
        ((b"Authorization: Basic " + KEY,), None, None),
        ((b"X-Other: " + KEY,), None, None),
    ],
)
def test_where_a_key_is_read(
    lines: tuple[bytes, ...], presented_key: bytes | None, cookie: bytes | None
) -> None:
    """In Authorization as Bearer, in the configured field and in cookies; a field counts first."""
    head = read(*lines)
    assert (head.presented_key, head.cookie, head.ambiguous) == (presented_key, cookie, False)


@pytest.mark.parametrize(
    ("lines", "ambiguous", "disputed"),
    [
        ((b"Authorization: Bearer " + KEY, b"Authorization: Bearer " + KEY), True, False),
        ((b"Authorization: Bearer " + KEY, b"X-Key: " + OTHER_KEY), True, False),
        ((b"Authorization: Bearer " + KEY, b"X-Key: " + KEY), False, False),
        ((b"Cookie: a=" + KEY + b"; b=" + OTHER_KEY,), False, True),
        ((b"Cookie: a=" + KEY, b"Authorization: Bearer " + OTHER_KEY), False, True),
        ((b"Cookie: a=" + KEY + b"; a=" + KEY,), False, False),
    ],
)
def test_several_keys_are_noted(lines: tuple[bytes, ...], ambiguous: bool, disputed: bool) -> None:
    """wire-rules.md#C2: none of several fields is taken by chance; cookies are for the decision."""
    head = read(*lines)
    assert (head.ambiguous, head.disputed) == (ambiguous, disputed)


def test_a_cookie_with_a_key_is_cut_out() -> None:
    """wire-rules.md#B12: the others keep their bytes, and an empty field disappears."""
    head = read(b"Cookie: a=1;  b=2; latchkey=" + KEY + b"; c=3")
    assert head.passed == [b"Cookie: a=1;  b=2; c=3\r\n"]
    assert read(b"Cookie: latchkey=" + KEY).passed == []


@pytest.mark.parametrize(
    ("lines", "target", "refusal"),
    [
        ((b"Host: b",), b"/", refusals.MALFORMED),
        ((b"No colon",), b"/", refusals.MALFORMED),
        ((b"Content-Length: 1", b"Content-Length: 1"), b"/", refusals.MALFORMED),
        ((b"Content-Length: 1", b"Transfer-Encoding: chunked"), b"/", refusals.MALFORMED),
        ((b"Transfer-Encoding: gzip",), b"/", refusals.UNKNOWN_CODING),
        ((b"Expect: more",), b"/", refusals.EXPECTATION),
        ((b"X: 1",) * 8, b"/", refusals.HEAD_TOO_LARGE),
        ((), b"/%zz", refusals.MALFORMED),
        ((), b"/?k=" + KEY, refusals.KEY_IN_URL),
        ((), b"/" + KEY.replace(b"l", b"%6c", 1), refusals.KEY_IN_URL),
        ((), b"ftp://a/", refusals.MALFORMED),
        ((b"X: 1",) * 7, b"/?q=50%", None),
    ],
)
def test_what_refuses_a_head(
    lines: tuple[bytes, ...], target: bytes, refusal: Refusal | None
) -> None:
    """One refusal for a head as a whole: nothing of it is decided on."""
    assert refusal_of(*lines, target=target) is refusal


def test_the_authority_of_an_absolute_target_wins() -> None:
    """wire-rules.md#A6, RFC 9112 §3.2.2: over Host, which such a request has as well."""
    head = read(target=b"http://b.example:80/x?y")
    assert (head.host, head.target) == (b"b.example:80", b"/x?y")
    assert (head.path, head.query) == (b"/x", b"?y")


def test_its_own_via_is_a_loop() -> None:
    """wire-rules.md#B3: another gateway's is none."""
    assert read(b"Via: 1.1 latchkey (0011223344556677)").loop
    assert not read(b"Via: 1.1 latchkey (7766554433221100)").loop


def test_rules_are_remembered_within_a_limit() -> None:
    """Names are the client's to choose: the memo does not grow with them."""
    rules: FieldRules[str] = FieldRules(lambda name: name.decode())
    long = b"x" * (MAX_NAME_BYTES + 1)
    assert rules.learn(long) == long.decode()
    for number in range(MAX_NAMES + 10):
        assert rules.learn(b"%d" % number) == str(number)
    assert len(rules.known) == MAX_NAMES
    assert long not in rules.known
