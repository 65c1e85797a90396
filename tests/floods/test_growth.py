"""wire-rules.md#D13: no reader takes more time than its input is worth: twice as much takes about
twice as long.

Each gets shapes that parsers have been slow with: the same few bytes over and over, after something
and before something.
"""

import base64
import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from gateway.core.logins import reply_tokens
from gateway.core.logins.replies import Reply
from gateway.core.logins.reply_tokens import NoToken
from gateway.core.logins.request_echo import EchoDetector
from gateway.core.logins.token_places import Auto
from gateway.core.tokens.claims import BadToken
from tests.floods.readers import READERS, REPLY, Read
from tests.support.growth import PLAIN_SHAPES, Shape, assert_grows_fairly, shapes

# A shape that fails is short already, and to look for a shorter one would take very long.
few = settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.parametrize(
    ("read", "largest"),
    [(read, largest) for _, read, largest in READERS],
    ids=[name for name, _, _ in READERS],
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
            reply_tokens.find(Reply(200, (), body), Auto(), sent.is_echo)

    assert_grows_fairly(find, Shape(b"", b"a", b""), 8 * REPLY)
