"""Following WebSocket frames: where one ends, however the bytes are cut."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from gateway.relay.http1 import websocket
from gateway.relay.http1.websocket import Frames

SIZES = st.sampled_from([0, 1, 125, 126, 127, 1000, 65535, 65536, 70000])


def frame(size: int, *, masked: bool) -> bytes:
    mark = 0x80 if masked else 0
    if size < 126:
        header = bytes([0x82, mark | size])
    elif size < 65536:
        header = bytes([0x82, mark | 126]) + struct.pack(">H", size)
    else:
        header = bytes([0x82, mark | 127]) + struct.pack(">Q", size)
    return header + (b"mask" if masked else b"") + bytes(size)


@given(
    st.lists(st.tuples(SIZES, st.booleans()), max_size=4),
    st.lists(st.integers(0, 200_000), max_size=8),
)
def test_between_frames(sizes: list[tuple[int, bool]], cuts: list[int]) -> None:
    """RFC 6455 §5.2: after each piece, it is known whether a frame has just ended."""
    data, ends = b"", {0}
    for size, masked in sizes:
        data += frame(size, masked=masked)
        ends.add(len(data))
    followed, at = Frames(), 0
    assert followed.between
    for cut in [*sorted(offset for offset in cuts if offset < len(data)), len(data)]:
        followed.feed(data[at:cut])
        at = cut
        assert followed.between == (at in ends)


@given(SIZES, st.booleans())
def test_byte_by_byte(size: int, masked: bool) -> None:
    data = frame(min(size, 300), masked=masked)
    followed = Frames()
    for at in range(len(data)):
        followed.feed(data[at : at + 1])
        assert followed.between == (at == len(data) - 1)


@given(SIZES, st.booleans(), st.integers(0, 7), st.integers(0, 15), st.integers(0, 200))
def test_a_close_frame_that_has_passed(
    size: int, fin: bool, rsv: int, opcode: int, cut: int
) -> None:
    """Opcode 8 (§5.5.1), whatever bits of extensions stand beside it (§5.2), and no other."""
    first = bytes([fin << 7 | rsv << 4 | opcode])
    data = first + frame(size, masked=False)[1:]
    followed = Frames()
    followed.feed(data[:cut])
    followed.feed(data[cut:])
    assert followed.between
    assert followed.closed == (opcode == 8)


def test_the_close_frame() -> None:
    """FIN, opcode 8, unmasked, status 1008 (§5.5.1)."""
    assert websocket.close(websocket.POLICY_VIOLATION, "over") == b"\x88\x06\x03\xf0over"
