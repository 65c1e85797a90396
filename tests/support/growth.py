"""How the time of a reader grows with what it is given."""

import gc
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

# From the smallest size to the largest one. What takes n log n grows by less than 10, what takes
# the square of n by 64.
_STEPS = 8
_MAX_GROWTH = 20

# What takes less CPU than this is no flood, however it grows, in seconds.
_UNSEEN = 0.003

# And what is read by an interpreter costs some time for each byte, in seconds, but less than this.
_MAX_OF_A_BYTE = 10e-6

# Cold caches disturb a measurement, but not so many in a row.
_MEASUREMENTS = 3

# A reader may remember what it has read (as aiohttp does Content-Types), so no text comes twice.
_numbers = itertools.count(10**6)

# What parsers split at, nest by, escape with or look ahead for; and what begins a token or a key.
ATOMS = [
    *[b";", b'"', b"\\", b",", b"[", b"{", b"]", b"}", b"(", b")", b"<", b">", b"%", b"=", b"&"],
    *[b".", b":", b"/", b"-", b"_", b"'", b"*", b"?", b"@", b"|", b"+", b"0", b"1", b"e", b"a"],
    *[b" ", b"\t", b"\r", b"\n", b"\r\n", b"\r\n ", b"\0", b"\x7f", b"\xff", b"\xc3\xa9"],
    *[b'{"a":', b'"a",', b'{"a":[', b'""', b'\\"', b"\\u0065", b"\\ud83d", b"null,", b"1e9,"],
    *[b'"eyJhbGciOiJIUzI1NiJ9.e30.aaaa",', b"eyJhbGciOiJIUzI1NiJ9.e30.aaaa "],
    *[b"eyJ", b"eyJ.", b"eyJ9.", b"ewk.", b"ICD.", b"lk_", b"lk_trip.", b"a=lk_trip.a;"],
    *[b"refresh_token", b'refresh_token" ', b"charset", b";charset=", b"charset =", b"boundary="],
    *[
        b"%2e",
        b"%25",
        b"%2f",
        b"../",
        b"/a/..",
        b"/a",
        b"//",
        b"a=1&",
        b"a;q=0,",
        b"--a\r\n",
        b"0\r\n",
    ],
    *[b"Bearer ", b"close,", b"1.1.1.1,", b"for=", b"=?utf-8?q?", b"name*0=", b"\xcc\x96\xcc\x80"],
    *[b"1\r\na\r\n", b"a:\r\n", b"\xe2\x80\x8b", b"\xef\xbb\xbf", b"a\0"],
]


@dataclass(frozen=True)
class Shape:
    """A text of any size: something first, then the same over and over, then something last."""

    first: bytes
    again: bytes
    last: bytes

    def text(self, size: int) -> bytes:
        """`size` is that of what is repeated, in bytes; what is counted makes each text another."""
        again = self.again * max(1, size // len(self.again))
        return b"%b%b%d%b" % (self.first, again, next(_numbers), self.last)


# As deep as readers may go, or far deeper, so that what is repeated is at the end of a long path.
_DEEP = [mark * depth for mark in (b"[", b'{"a":', b'{"refresh_token":[') for depth in (30, 900)]

shapes = st.builds(
    Shape,
    st.sampled_from([b"", *ATOMS, *_DEEP]),
    st.lists(st.sampled_from(ATOMS), min_size=1, max_size=3).map(b"".join),
    st.sampled_from([b"", *ATOMS]),
)

# Each atom by itself, whatever else is drawn.
PLAIN_SHAPES = [
    *[Shape(b"", atom, b"") for atom in ATOMS],
    *[Shape(deep, again, b"") for deep in _DEEP for again in (b'"",', b"[],", b'"a",')],
]


def assert_grows_fairly(read: Callable[[bytes], object], shape: Shape, largest: int) -> None:
    """Fails if `read` takes far more time for `largest` bytes than eight times as much as for an
    eighth of them, or far more of each byte than there is to do.
    """
    for _ in range(_MEASUREMENTS):
        many = _time(read, shape, largest)
        if many < _UNSEEN:
            return
        few = _time(read, shape, largest // _STEPS)
        growth = many / max(few, _UNSEEN / _STEPS)
        if growth < _MAX_GROWTH and many < largest * _MAX_OF_A_BYTE:
            return
    raise AssertionError(f"{few * 1e3:.1f} ms, then {many * 1e3:.1f} ms: {shape}")


def _time(read: Callable[[bytes], object], shape: Shape, size: int) -> float:
    """CPU time of this thread, in seconds, without the collector's, which looks at all there is."""
    text = shape.text(size)
    gc.disable()
    began = time.thread_time()
    read(text)
    ended = time.thread_time()
    gc.enable()
    return ended - began
