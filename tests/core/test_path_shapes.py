"""path_shapes: paths with segments that a client fills in."""

import pytest

from gateway.core.http.path_shapes import BadShape, Shape, filled, names, values

SHAPE = "/mfa/{token}/verify"


def test_a_shape_names_its_segments() -> None:
    assert names(SHAPE) == ["token"]
    assert names("/{one}/{two_3}") == ["one", "two_3"]
    assert names("/login") == []


@pytest.mark.parametrize(
    "path",
    ["/mfa/{}", "/mfa/{Token}", "/mfa/x{token}", "/{a}{b}", "/{a}/{a}", "/{a", "/a}", "/{1}"],
)
def test_what_is_no_shape(path: str) -> None:
    with pytest.raises(BadShape):
        names(path)


@pytest.mark.parametrize(
    ("path", "fits"),
    [
        ("/mfa/abc/verify", True),
        ("/mfa/a%2fb/verify", True),
        ("/mfa//verify", False),
        ("/mfa/abc", False),
        ("/mfa/abc/verify/", False),
        ("/mfa/a/b/verify", False),
        ("/MFA/abc/verify", False),
        ("/mfa/verify", False),
    ],
)
def test_what_has_the_shape(path: str, fits: bool) -> None:
    assert Shape(SHAPE.encode()).fits(path.encode()) is fits


def test_segments_are_taken_and_filled_in() -> None:
    """As they came; text in braces that a client sends is no name."""
    found = values(SHAPE, "/mfa/a%20{token}/verify")
    assert found == {"token": "a%20{token}"}
    assert filled("/api/{token}/check", found) == "/api/a%20{token}/check"
    assert Shape(b"/login").is_plain
