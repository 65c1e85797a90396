"""What a field does to the head of its request (`gateway.relay.http1.request_fields`)."""

import pytest

from gateway.core.http import refusals
from gateway.core.http.refusals import Refusal
from gateway.core.sessions.keys import new_key
from gateway.relay.http1 import request_fields as fields
from gateway.relay.http1.grammar import Malformed
from gateway.relay.http1.request_fields import Rule
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.outcomes import Refused

KEY, OTHER_KEY = (new_key(bytes([number]) * 32).reveal().encode() for number in (1, 2))


def read(rule: Rule, *values: bytes, minor: bytes = b"1", method: bytes = b"GET") -> RequestHead:
    """A head after the rule has seen a field with these values."""
    head = RequestHead(method, b"/", minor)
    head.passed = []
    for value in values:
        rule(head, b"F", b"F: " + value + b"\r\n")
    return head


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        (fields.host, (b"a", b"a")),
        (fields.host, (b"a b",)),
        (fields.content_length, (b"1", b"1")),
        (fields.content_length, (b"+1",)),
        (fields.transfer_encoding, (b"chunked", b"chunked")),
        (fields.transfer_encoding, (b"",)),
    ],
)
def test_fields_about_which_two_readers_could_disagree(
    rule: Rule, values: tuple[bytes, ...]
) -> None:
    """wire-rules.md#A1: a repetition, or a value outside the grammar."""
    with pytest.raises(Malformed):
        read(rule, *values)


@pytest.mark.parametrize(
    ("rule", "value", "refusal"),
    [
        (fields.transfer_encoding, b"gzip, chunked", refusals.UNKNOWN_CODING),
        (fields.expect, b"200-ok", refusals.EXPECTATION),
    ],
)
def test_what_the_gateway_does_not_know_is_refused(
    rule: Rule, value: bytes, refusal: Refusal
) -> None:
    with pytest.raises(Refused) as refused:
        read(rule, value)
    assert refused.value.refusal is refusal


def test_a_key_is_a_bearer_token() -> None:
    """In any case of the scheme; other schemes present none."""
    assert read(fields.authorization, b"bearer " + KEY).presented_key == KEY
    assert read(fields.authorization, b"Basic eDp5").presented_key is None
    assert read(fields.authorization, b"Bearer " + KEY, b"Bearer " + OTHER_KEY).ambiguous


def test_a_key_in_a_cookie_is_cut_out() -> None:
    """The other cookies keep their bytes; an empty field disappears."""
    head = read(fields.cookie, b"a=1; key=" + KEY + b"; b=2")
    assert (head.cookie, head.presented_key) == (b"key", KEY)
    assert head.passed == [b"F: a=1; b=2\r\n"]
    assert read(fields.cookie, b"key=" + KEY).passed == []


def test_cookies_with_different_keys_are_disputed() -> None:
    """wire-rules.md#E7: the decision chooses one of them."""
    head = read(fields.cookie, b"key=" + KEY, b"key=" + OTHER_KEY)
    assert (head.presented_key, head.disputed, head.ambiguous) == (KEY, True, False)
    assert [key for _, key in head.key_cookies] == [KEY, OTHER_KEY]


def test_a_field_counts_more_than_a_cookie() -> None:
    head = read(fields.cookie, b"key=" + KEY)
    fields.take(head, OTHER_KEY, (b"X-Key",))
    assert (head.presented_key, head.cookie, head.key_fields) == (OTHER_KEY, None, (b"X-Key",))
    assert head.disputed


def test_an_expectation_of_http_1_0_means_nothing() -> None:
    """RFC 9110 §10.1.1."""
    assert read(fields.expect, b"100-Continue").expects_continue
    assert not read(fields.expect, b"100-continue", minor=b"0").expects_continue


def test_only_a_known_protocol_is_an_upgrade() -> None:
    """wire-rules.md#E9: another one is dropped, with the option in Connection that names it."""
    assert read(fields.upgrade({b"websocket"}), b"WebSocket").upgrade == b"websocket"
    other = read(fields.upgrade({b"websocket"}), b"h2c")
    assert (other.upgrade, other.purged) == (None, True)
    some = read(fields.upgrade({b"websocket", b"tcp"}), b"h2c, TCP ,,WebSocket")
    assert (some.upgrade, some.purged) == (b"tcp, websocket", True)


@pytest.mark.parametrize(
    ("value", "is_valid"),
    [
        (b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01", True),
        (b"00-" + b"0" * 32 + b"-" + b"b" * 16 + b"-01", False),
        (b"ff-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01", False),
        (b"nonsense", False),
    ],
)
def test_an_invalid_trace_counts_as_none(value: bytes, *, is_valid: bool) -> None:
    """W3C Trace Context §3.2."""
    assert (read(fields.traceparent, value).trace is not None) == is_valid


def test_max_forwards_is_for_options() -> None:
    """RFC 9110 §7.6.2: for other methods it passes as it came."""
    assert read(fields.max_forwards, b"0", method=b"OPTIONS").max_forwards == 0
    assert read(fields.max_forwards, b"0").passed == [b"F: 0\r\n"]
