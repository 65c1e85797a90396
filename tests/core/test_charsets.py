"""The charsets that messages may name."""

import codecs

import pytest

from gateway.core.http.charsets import codec


@pytest.mark.parametrize("name", ["utf-8", "UTF-8", "ISO-8859-1", "windows-1252", "EUC-KR"])
def test_a_charset_has_a_codec(name: str) -> None:
    """RFC 9110 §8.3.2: in upper and lower case, with hyphens."""
    found = codec(name)
    assert found is not None
    assert codecs.lookup(found)


@pytest.mark.parametrize(
    "name", ["", "base64", "rot13", "idna", "unicode_escape", "zlib_codec", "os", "no.such.module"]
)
def test_other_names_have_none(name: str) -> None:
    """Codecs that are no charsets, or slow ones, and names that Python would try to import."""
    assert codec(name) is None
