"""How a path is read: the strict and the loose reading, and where they part."""

import contextlib
import timeit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.http import paths

ESCAPED_FIVE_TIMES = b"A"
for _ in range(5):
    ESCAPED_FIVE_TIMES = b"".join(b"%%%02x" % byte for byte in ESCAPED_FIVE_TIMES)


@pytest.mark.parametrize("path", [b"/", b"/a", b"/a/b.c", b"/a/", b"/a@b:c/d=e,f", b"/~x/$y!"])
def test_a_plain_path_has_one_reading(path: bytes) -> None:
    """No escapes, no parameters, no dots: every backend reads the same."""
    readings = paths.read(path)
    assert (readings.strict, readings.resolved) == (path, path)


@pytest.mark.parametrize(
    ("path", "strict", "resolved"),
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
        (b"/%256cogin", b"/%256cogin", b"/login"),  # decoded twice by some
        (b"/a/.", b"/a/.", b"/a/"),
        (b"/a/b/..", b"/a/b/..", b"/a/"),
        (b"/caf%c3%a9", b"/caf%C3%A9", b"/caf\xc3\xa9"),
    ],
)
def test_strict_and_resolved(path: bytes, strict: bytes, resolved: bytes) -> None:
    """Strict decodes unreserved characters only; resolved, as much as any backend does."""
    readings = paths.read(path)
    assert (readings.strict, readings.resolved) == (strict, resolved)


@pytest.mark.parametrize(
    "path",
    [
        b"/..",
        b"/a/../..",
        b"/%2e%2e",
        b"/a%00b",
        b"/a%c0%80b",
        b"/a%0a/b%00",
        b"/a/.%0a./b",  # dropped, it climbs
        b"/a/..%0a",
        b"/a" + b"%0ab" * 8,
        b"/" + ESCAPED_FIVE_TIMES,
        b"/a/b%2f../c",  # the climb is out of b, or out of a
        b"/a/b\\../c",
        b"/a//../c",
        b"/a/;x/../c",
        b"/a/b/..;x/c",
        b"/a/b/%252e%252e/c",
        b"/a/b/..%20/c",
        b"/a/.../../c",
        b"/caf%c3%a9/../c",
    ],
)
def test_a_path_without_a_safe_reading(path: bytes) -> None:
    """NUL, many control bytes, endless encodings, and climbs above the root or over something that
    not every backend takes for a segment.
    """
    with pytest.raises(paths.AmbiguousPath):
        paths.read(path)


@pytest.mark.parametrize(
    ("path", "others"),
    [
        (b"/a%0ab", {b"/ab", b"/a"}),
        (b"/a%0d%0a", {b"/a"}),
        (b"/%0aapi/me", {b"/api/me", b"/"}),
        (b"/a%0a/api/me", {b"/a/api/me", b"/a", b"/api/me"}),
        (b"/a/%250a%1fb%7f/c", {b"/a/b/c", b"/a/", b"/c"}),
        (b"/ab", set()),
    ],
)
def test_control_bytes(path: bytes, others: set[bytes]) -> None:
    """Some backends drop them, and some see lines: each reading has to be the same route's."""
    readings = paths.read(path)
    assert set(readings.without_controls) == others
    loose = {folded for folded, *_ in readings.loose}
    assert loose >= {paths.fold(other) for other in others}


@pytest.mark.parametrize("percent", [b"%25" * 1, b"%" + b"25" * 4, b"%" + b"25" * 500])
def test_text_that_is_escaped_again_and_again(percent: bytes) -> None:
    """Each client and proxy on the way may have done so: it is resolved to what it was."""
    assert paths.read(b"/" + percent + b"41").resolved == b"/A"
    with pytest.raises(paths.AmbiguousPath):
        paths.read(b"/a/" + percent + b"2e" + percent + b"2e/b")


@pytest.mark.parametrize(
    "path",
    [
        b"/api/me",
        b"/API/me",
        b"/api/me/",
        b"/Api/ME//",
        b"/api/me.",
        b"/api/me%20",
        b"/api./me",
        b"/api%20/me",
        b"/api/me::$DATA",
        b"/api/me%3a%3a%24data",
        b"/api%2fme",
        b"/api%c0%afme",  # overlong UTF-8
        b"/api%e0%80%afme",
        b"/api%f0%80%80%afme",
        b"/ap%c1%a9/me",
        b"/ap\xc4\xb1/me",  # a dotless i, which Java takes for an i
        b"/ap%c4%b0/me",  # a dotted capital I
        b"/%ef%bd%81pi/me",  # a full-width a
        b"/%c3%a0pi/me",  # an a with an accent
        b"/api%ef%bc%8fme",  # a full-width slash
        b"/api%e2%81%84me",  # a fraction slash
        b"/x/%ef%bc%8e%ef%bc%8e/api/me",  # full-width full stops
    ],
)
def test_the_loose_reading(path: bytes) -> None:
    """What Express, ASP.NET, Rails, Spring, Tomcat, Django, PHP, IIS and Windows drop."""
    assert paths.read(path).loose == ((b"/api/me",),)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/api/\xc5\xbf", b"/api/s"),  # a long s
        (b"/api/%e2%84%aa", b"/api/k"),  # the sign of kelvin
        (b"/%EC%82%AC%EB%9E%8C", "/\uc0ac\ub78c".encode()),  # two syllables of Korean stay two
        (b"/", b""),
        (b"/...", b""),
    ],
)
def test_letters(path: bytes, expected: bytes) -> None:
    """Those that fold to ASCII in some library do so here; others tell paths apart."""
    [[folded, *_]] = paths.read(path).loose
    assert folded == paths.fold(expected)


@pytest.mark.parametrize(
    ("path", "among"),
    [
        (b"/api/me.json", b"/api/me"),
        (b"/api/me.tar.gz", b"/api/me"),
        (b"/api/me.v1.json", b"/api/me.v1"),
        (b"/api/me..json", b"/api/me"),
        (b"/api/me.json/", b"/api/me"),
        (b"/api/me/.json", b"/api/me"),  # as Django REST framework names the root
        (b"/api/me.json;v=1", b"/api/me"),
        (b"/api/me%2ejson", b"/api/me"),
        (b"/api/me%3fx", b"/api/me"),
        (b"/api/me%23x", b"/api/me"),
        (b"/index.php/api/me", b"/api/me"),
        (b"/api/index.php/me", b"/api/me"),
        (b"/index.php/api/me.json", b"/api/me"),
        (b"/api/me/index.php", b"/api/me"),
        (b"/admin.php/x/y", b"/admin.php"),
        (b"/admin.aspx/x", b"/admin.aspx"),
    ],
)
def test_other_paths_that_it_may_be(path: bytes, among: bytes) -> None:
    """A suffix asks for a format; a script gets what is behind it, or serves it."""
    assert among in [folded for forms in paths.read(path).loose for folded in forms]


@pytest.mark.parametrize(
    "path",
    [
        b"/api/login",
        b"/API/Login",
        b"/api/login/",
        b"/api//login",
        b"/api/%6Cogin",
        b"/api/login;x",
        b"/api/login.json",
        b"/api/login.",
        b"/api/log%c4%b1n",
        b"/index.php/api/login",
        b"/api/login/index.php",
    ],
)
def test_a_guarded_path_is_known_in_every_spelling(path: bytes) -> None:
    """wire-rules.md#E1: no spelling of the backend's login gets past its guard."""
    guarded = paths.BackendPaths([b"/api/login"])
    assert guarded.hold(paths.read(path).loose, suffixes=True)
    for other in (b"/api/logins", b"/api", b"/api/login/x", b"/login", b"/"):
        assert not guarded.hold(paths.read(other).loose, suffixes=True)


@pytest.mark.parametrize(
    ("guarded", "path", "held"),
    [
        (b"/login.php", b"/login.php/x", True),
        (b"/login.php", b"/login", True),  # servers complete it
        (b"/login.php", b"/LOGIN.PHP", True),
        (b"/login.php", b"/login.css", False),  # stands beside it
        (b"/index.php/login", b"/login", True),
        (b"/index.php/login", b"/index.php/other", False),
        (b"/api/login.json", b"/api/login.xml", True),
        (b"/api/login.json", b"/api/login", True),
        (b"/api/login.json", b"/api", False),
        (b"/index.php", b"/", False),
        (b"/", b"/index.php", True),
    ],
)
def test_a_guarded_path_with_a_suffix(guarded: bytes, path: bytes, held: bool) -> None:
    """A format's suffix may be another one or none; a script's belongs to its name."""
    loose = paths.read(path).loose
    assert paths.BackendPaths([guarded]).hold(loose, suffixes=True) is held


@pytest.mark.parametrize(
    "segment",
    [
        b"T",
        b"a%2Fb",
        b"a%2fb",
        b"a%5Cb",
        b"a;b",
        b".",
        b"%2e",
        b"...",
        b"%20",
        b"%c3%a9",
        b"a.b",
        b";",
    ],
)
@pytest.mark.parametrize("end", [b"", b"/", b".json"])
def test_a_guarded_path_with_a_segment_to_fill_in(segment: bytes, end: bytes) -> None:
    """Backends that split a path before they decode it take any text for the segment."""
    guarded = paths.BackendPaths([b"/api/{tenant}/login"])
    readings = paths.read(b"/API/" + segment + b"/login" + end)
    assert guarded.hold(readings.at_backends, suffixes=True)
    for other in (b"/api/" + segment, b"/" + segment + b"/login"):
        assert not guarded.hold(paths.read(other).at_backends, suffixes=True)


def test_suffixes_may_tell_paths_apart() -> None:
    """For a route that names such a path, `/login.html` is not `/login`; `/login/` still is."""
    guarded = paths.BackendPaths([b"/login"])
    assert not guarded.hold(paths.read(b"/login.html").loose, suffixes=False)
    assert guarded.hold(paths.read(b"/Login/").loose, suffixes=False)


@given(st.lists(st.text("abcXYZ019._-~", min_size=1).filter(lambda s: not s.startswith("."))))
def test_encoding_unreserved_characters_changes_nothing(segments: list[str]) -> None:
    """RFC 3986 §6.2.2.2: all readings of a path are those of its needlessly encoded form."""
    path = "/" + "/".join(segments)
    encoded = "".join(c if c == "/" else f"%{ord(c):02x}" for c in path)
    assert paths.read(encoded.encode()) == paths.read(path.encode())


@given(st.binary(max_size=60))
@example(b"\xc2\xcc\x80\xa0")  # an accent between bytes that are a space without it
@example(b"\xc2\xcc\x80\xcc\x81\xa0")
@example("\u00bc".encode())  # with a slash of its own: 1/4
def test_reading_never_crashes_and_is_stable(tail: bytes) -> None:
    """Whatever comes, a resolved or folded path reads as itself."""
    try:
        readings = paths.read(b"/" + tail)
        again = paths.read(readings.resolved).resolved
        folded = [paths.fold(form) for forms in readings.loose for form in forms]
    except paths.AmbiguousPath:
        return
    assert again == readings.resolved
    assert folded == [form for forms in readings.loose for form in forms]


@pytest.mark.parametrize(
    "piece",
    [b"a/", b"A/", b"%41", b"%20", b"a.", b".php/", b"::$", b"%cc%81%cc%a0", b"%25", b"%0a/"],
)
def test_long_paths_take_as_long_as_they_are(piece: bytes) -> None:
    """The time grows with the length, and not with its square: no spelling stalls a worker."""
    short, long = (_seconds(b"/" + piece * (size // len(piece))) for size in (2000, 32000))
    assert long < 64 * short  # 16 times as long; by its square it would be 256


def _seconds(path: bytes) -> float:
    def read() -> None:
        with contextlib.suppress(paths.AmbiguousPath):
            paths.read(path)

    return min(timeit.repeat(read, number=1, repeat=5))
