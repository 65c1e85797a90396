"""How a path is read: the strict and the loose reading, and where they part."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import paths


@pytest.mark.parametrize("path", [b"/", b"/a", b"/a/b.c", b"/a/", b"/a@b:c/d=e,f", b"/~x/$y!"])
def test_a_plain_path_has_one_reading(path: bytes) -> None:
    """No escapes, no parameters, no dots: every backend reads the same."""
    assert paths.read(path) == paths.Readings(path, path)


@pytest.mark.parametrize(
    ("path", "strict", "loose"),
    [
        (b"/%6cogin", b"/login", b"/login"),  # RFC 3986 §6.2.2.2: unreserved, so the same path
        (b"/a%2fb", b"/a%2Fb", b"/a/b"),
        (b"/a%5cb", b"/a%5Cb", b"/a/b"),
        (b"/a\\b", b"/a\\b", b"/a/b"),
        (b"//login", b"//login", b"/login"),
        (b"/x/../login", b"/x/../login", b"/login"),
        (b"/x/%2e%2E/login", b"/x/../login", b"/login"),
        (b"/./login", b"/./login", b"/login"),
        (b"/login;a=b", b"/login;a=b", b"/login"),
        (b"/a;x/../b", b"/a;x/../b", b"/b"),
        (b"/%256cogin", b"/%256cogin", b"/login"),  # decoded twice by some
        (b"/a/.", b"/a/.", b"/a/"),
        (b"/a/b/..", b"/a/b/..", b"/a/"),
        (b"/caf%c3%a9", b"/caf%C3%A9", b"/caf\xc3\xa9"),
    ],
)
def test_the_two_readings(path: bytes, strict: bytes, loose: bytes) -> None:
    """Strict decodes unreserved characters only; loose goes as far as any backend does."""
    assert paths.read(path) == paths.Readings(strict, loose)


@pytest.mark.parametrize(
    "path", [b"/..", b"/a/../..", b"/%2e%2e", b"/a%00b", b"/a%0ab", b"/%252525252541"]
)
def test_a_path_without_a_safe_reading(path: bytes) -> None:
    """NUL and control bytes, climbs above the root and endless encodings are refused."""
    with pytest.raises(paths.AmbiguousPath):
        paths.read(path)


@pytest.mark.parametrize(
    "path",
    [
        b"/api/login",
        b"/API/Login",
        b"/api/login/",
        b"/api//login",
        b"/api/%6Cogin",
        b"/api/login;x",
    ],
)
def test_a_guarded_path_is_known_in_every_spelling(path: bytes) -> None:
    """Rule E1: no spelling of the backend's login gets past its guard form."""
    assert paths.guard_form(path) == b"/api/login"


@given(st.lists(st.text("abcXYZ019._-~", min_size=1).filter(lambda s: not s.startswith("."))))
def test_encoding_unreserved_characters_changes_nothing(segments: list[str]) -> None:
    """RFC 3986 §6.2.2.2: both readings of a path are those of its needlessly encoded form."""
    path = "/" + "/".join(segments)
    encoded = "".join(c if c == "/" else f"%{ord(c):02x}" for c in path)
    assert paths.read(encoded.encode()) == paths.read(path.encode())


@given(st.binary(max_size=60))
def test_reading_never_crashes_and_is_stable(tail: bytes) -> None:
    """Whatever comes, the loose reading is a path that reads as itself."""
    try:
        loose = paths.read(b"/" + tail).loose
        again = paths.read(loose).loose
    except paths.AmbiguousPath:
        return
    assert again == loose
