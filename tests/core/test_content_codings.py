"""Which content coding a client takes (RFC 9110 §12.5.3)."""

import pytest

from gateway.core.http.content_codings import chosen

OFFERED = ("zstd", "br", "gzip")


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, br", "br"),
        ("GZIP", "gzip"),
        ("x-gzip", "gzip"),
        ("gzip;q=1.0, br;q=0.5", "gzip"),
        ("gzip;q=0.001", "gzip"),
        ("*", "zstd"),
        ("zstd;q=0, *", "br"),
        ("*;q=0, gzip", "gzip"),
        ("gzip ; Q=0.5 , br ; q=0.4", "gzip"),
        ("identity;q=0, gzip;q=0.1", "gzip"),
        (None, None),
        ("", None),
        ("identity", None),
        ("deflate, compress", None),
        ("gzip;q=0", None),
        ("*;q=0", None),
        ("gzip;q=0.000", None),
        ("gzip;q=2", None),
        ("gzip;q=x", None),
        ("gzip;q=", None),
        ("identity, gzip;q=0.5", None),
        ("gzipx", None),
        (" ," * 2000 + "gzip", None),
    ],
)
def test_what_a_client_takes(accepted: str | None, coding: str | None) -> None:
    """The heaviest, then our own order; what is weighed less than the plain form is not wanted."""
    assert chosen(accepted, OFFERED) == coding


def test_only_what_is_offered() -> None:
    assert chosen("zstd, br", ("gzip",)) is None
    assert chosen("*", ()) is None
