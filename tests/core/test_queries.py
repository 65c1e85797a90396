"""gateway/core/http/queries.py: parameters in a query, in the spellings that backends read."""

import pytest

from gateway.core.http import queries


@pytest.mark.parametrize(
    ("query", "kept", "values"),
    [
        (b"", b"", []),
        (b"?", b"?", []),
        (b"?a=1", b"?a=1", []),
        (b"?token=x", b"", [b"x"]),
        (b"?token", b"", [b""]),
        (b"?a=1&token=x", b"?a=1", [b"x"]),
        (b"?token=x&a=1", b"?a=1", [b"x"]),
        (b"?a=1&token=x&b=%20&&c", b"?a=1&b=%20&&c", [b"x"]),
        (b"?token=x&token=y", b"", [b"x", b"y"]),
        (b"?a=1;token=x;b=2", b"?a=1;b=2", [b"x"]),
        (b"?%74oken=x&a=1", b"?a=1", [b"x"]),
        (b"?+token+=x", b"", [b"x"]),
        (b"?token[]=x&token%5Ba%5D=y", b"", [b"x", b"y"]),
        (b"?a=token&tokens=1&Token=2", b"?a=token&tokens=1&Token=2", []),
    ],
)
def test_a_parameter_is_cut_out(query: bytes, kept: bytes, values: list[bytes]) -> None:
    """In each spelling that a backend reads as its name; the rest keeps its bytes."""
    assert queries.cut(query, b"token") == (kept, values)


def test_a_dot_in_a_name_is_an_underscore_to_php() -> None:
    """So both spellings are one name, whichever of them config.yaml has."""
    assert queries.cut(b"?access.token=x", b"access_token") == (b"", [b"x"])
    assert queries.cut(b"?access_token=x", b"access.token") == (b"", [b"x"])


@pytest.mark.parametrize(
    ("query", "expected"), [(b"", b"?t=1"), (b"?", b"?t=1"), (b"?a=2", b"?a=2&t=1")]
)
def test_a_parameter_is_added_at_the_end(query: bytes, expected: bytes) -> None:
    """Behind all others."""
    assert queries.added(query, b"t", b"1") == expected


def test_a_value_is_decoded_as_forms_are() -> None:
    """Escapes are undone, and a plus is a space."""
    assert queries.decoded(b"a%20b+c") == b"a b c"
