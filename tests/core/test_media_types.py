"""What a body is said to be, and nothing that readers could differ about."""

import pytest

from gateway.core.http.media_types import essence, parameter


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("text/html", "text/html"),
        (" Text/HTML ; charset=utf-8", "text/html"),
        ("", ""),
        (";a=b", ""),
    ],
)
def test_the_essence(field: str, expected: str) -> None:
    """Type and subtype are compared without case, and without parameters."""
    assert essence(field) == expected


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("a/b; charset=utf-8", "utf-8"),
        ("a/b;Charset=UTF-8;", "UTF-8"),
        ('a/b ; x="charset=no;" ;charset="u\\"tf"', 'u"tf'),
        ('a/b;charset=""', ""),
        ("a/b", ""),
        ("a/b; charset", ""),
        ("a/b; charset = utf-8", ""),
        ("a/b; charset=utf-8; charset=utf-7", ""),
        ('a/b; charset=utf-8; x="', ""),
        ("a/b; charset=utf-8 utf-7", ""),
        ("a/b" + "; x=y" * 16 + "; charset=utf-8", ""),
    ],
)
def test_a_parameter(field: str, expected: str) -> None:
    """RFC 9110 §5.6.6. One that stands twice, or in a field that is malformed, is none."""
    assert parameter(field, "charset") == expected
