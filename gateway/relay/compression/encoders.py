"""Encode bodies, piece by piece: gzip, Brotli and Zstandard.

The levels are low: a read of 256 KB takes the event loop 1 to 3 ms (measured for JSON; gzip takes
7 ms for base64 of noise), and no encoder holds more than about 1 MiB.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Protocol
from weakref import WeakSet

# 16 more than the window's bits: with gzip's header (zlib manual, deflateInit2).
_GZIP_LEVEL, _GZIP_WINDOW = 4, 15 + 16
_BROTLI_QUALITY, _BROTLI_WINDOW = 3, 18
_ZSTD_LEVEL = 1  # its window of 512 KiB is below the 8 MiB of RFC 9659


# Of one worker at a time, so that encoders take at most 256 MiB. Further answers stay as they are.
MAX_ENCODERS = 256


class Encoder(Protocol):
    """Encodes one body."""

    def encode(self, data: bytes) -> bytes:
        """What the next bytes become; perhaps nothing yet."""

    def flush(self) -> bytes:
        """What the encoder has held back, so that a client can read all."""

    def finish(self) -> bytes:
        """The end of the body."""


class GzipEncoder:
    """RFC 1952."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
        self.encode = self._deflate.compress

    def flush(self) -> bytes:
        return self._deflate.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._deflate.flush(zlib.Z_FINISH)


class BrotliEncoder:
    """RFC 7932."""

    def __init__(self) -> None:
        import brotli

        compressor = brotli.Compressor(quality=_BROTLI_QUALITY, lgwin=_BROTLI_WINDOW)
        self.encode: Callable[[bytes], bytes] = compressor.process
        self.flush: Callable[[], bytes] = compressor.flush
        self.finish: Callable[[], bytes] = compressor.finish


class ZstdEncoder:
    """RFC 8878."""

    def __init__(self) -> None:
        import zstandard

        self._block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
        self._compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj()
        self.encode: Callable[[bytes], bytes] = self._compressor.compress
        self.finish: Callable[[], bytes] = self._compressor.flush

    def flush(self) -> bytes:
        return self._compressor.flush(self._block)


_ENCODERS: dict[str, Callable[[], Encoder]] = {
    "zstd": ZstdEncoder,
    "br": BrotliEncoder,
    "gzip": GzipEncoder,
}

_at_work: WeakSet[Encoder] = WeakSet()


def encoder_of(coding: str) -> Encoder | None:
    """An encoder of a coding; None if too many are at work."""
    if len(_at_work) >= MAX_ENCODERS:
        return None
    encoder = _ENCODERS[coding]()
    _at_work.add(encoder)
    return encoder
