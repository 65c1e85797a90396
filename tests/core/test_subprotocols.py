"""gateway/core/http/subprotocols.py: keys among the subprotocols that a WebSocket offers."""

import base64

import pytest

from gateway.core.http import subprotocols
from gateway.core.http.subprotocols import Offer
from gateway.core.sessions import keys

KEY = keys.new_key(bytes(range(32))).raw
OTHER = keys.new_key(bytes(32)).raw
TOKEN = b"ey.J.x"
K8S = b"base64url.bearer.authorization.k8s.io."


def encoded(text: bytes) -> bytes:
    return base64.urlsafe_b64encode(text).rstrip(b"=")


def offer(*names: bytes) -> Offer:
    found = subprotocols.find(b", ".join(names))
    assert isinstance(found, Offer)
    return found


@pytest.mark.parametrize(
    ("names", "others", "swapped"),
    [
        ((b"bearer", KEY), (), (b"bearer", TOKEN)),
        ((b"Bearer", KEY, b"chat"), (b"chat",), (b"Bearer", TOKEN, b"chat")),
        ((b"chat", b"bearer", KEY), (b"chat",), (b"chat", b"bearer", TOKEN)),
        ((b"chat", KEY), (b"chat",), (b"chat", TOKEN)),
        ((KEY,), (), (TOKEN,)),
        ((b"bearer", b"a.b." + KEY), (), (b"bearer", TOKEN)),
        ((K8S + encoded(KEY), b"v4"), (b"v4",), (K8S + encoded(TOKEN), b"v4")),
        ((b"v4", K8S + encoded(KEY) + b"="), (b"v4",), (b"v4", K8S + encoded(TOKEN))),
        ((b"v4", K8S + encoded(b"a.b." + KEY)), (b"v4",), (b"v4", K8S + encoded(TOKEN))),
        ((b"bearer", KEY, b"x" + KEY), (), (b"bearer", TOKEN)),
    ],
)
def test_a_key_is_cut_or_swapped(
    names: tuple[bytes, ...], others: tuple[bytes, ...], swapped: tuple[bytes, ...]
) -> None:
    """In both ways in which frontends write it, and with it the word before it."""
    found = offer(*names)
    assert found.keys == (KEY,)
    assert found.others == others
    assert found.swapped(TOKEN) == swapped


def test_two_keys_are_told() -> None:
    """The request is ambiguous then, unless both are one."""
    assert offer(b"bearer", KEY, K8S + encoded(OTHER)).keys == (KEY, OTHER)
    assert offer(b"bearer", KEY, K8S + encoded(KEY)).keys == (KEY,)


@pytest.mark.parametrize("name", [b"x" + KEY, KEY + b".x", b"b64." + encoded(KEY), K8S + b"!"])
def test_what_hides_a_key_is_cut(name: bytes) -> None:
    """It is no credential, and still a key."""
    found = subprotocols.find(b"chat, " + name)
    assert found == ((b"chat",) if b"!" not in name else (b"chat", name))


def test_an_opaque_token_that_is_no_word_is_left_out() -> None:
    """A subprotocol is a word (RFC 6455 §4.1)."""
    assert offer(b"bearer", KEY, b"chat").swapped(b"a/b=") == (b"chat",)


@pytest.mark.parametrize(
    ("names", "picked", "answered"),
    [
        ((b"bearer", KEY), b"bearer", b"bearer"),
        ((b"bearer", KEY), None, b"bearer"),
        ((b"bearer", KEY), TOKEN, b"bearer"),
        ((b"chat", b"bearer", KEY), b"chat", b"chat"),
        ((b"chat", b"bearer", KEY), None, None),
        ((KEY,), None, KEY),
        ((KEY,), TOKEN, KEY),
        ((K8S + encoded(KEY), b"v4"), b"v4", b"v4"),
        ((K8S + encoded(KEY),), None, K8S + encoded(KEY)),
        ((K8S + encoded(KEY),), K8S + encoded(TOKEN), K8S + encoded(KEY)),
    ],
)
def test_the_client_is_answered_with_what_it_offered(
    names: tuple[bytes, ...], picked: bytes | None, answered: bytes | None
) -> None:
    """Browsers take no other answer, and the token is for none of them."""
    assert offer(*names).answered(picked, TOKEN) == answered
