"""What an answer tells shared caches: for whom it is, and that it is no other caller's."""

import pytest

from gateway.core.http.shared_caches import confined

COOKIE = (b"Cookie",)


def told(
    *lines: bytes, private: bool = True, key_fields: tuple[bytes, ...] = COOKIE
) -> list[bytes]:
    """The lines that leave, without their ends."""
    ends = tuple(line + b"\r\n" for line in lines)
    return confined(ends, key_fields, private=private).split(b"\r\n")[:-1]


def cache_control(*lines: bytes) -> bytes:
    [line] = [line for line in told(*lines) if line.startswith(b"Cache-Control: ")]
    return line.removeprefix(b"Cache-Control: ")


@pytest.mark.parametrize(
    "said",
    [
        b"max-age=60",
        b"MAX-AGE=60",
        b"no-cache",
        b"no-cache, max-age=0",
        b"proxy-revalidate, max-age=60",
        b"stale-while-revalidate=60",
        b"immutable",
        # It speaks of one field, not of the answer (RFC 9111 §5.2.2.7).
        b'private="Set-Cookie", max-age=60',
        b'private="", max-age=60',
        # Within a quoted string nothing is a directive, whether the quote is closed or not.
        b'max-age=60, x="a, public"',
        b'max-age=60, x="a\\", public"',
        b'max-age=60, x="a, public',
        b'max-age=60, x="no-store\\',
        # What has no such form says nothing.
        b"max-age=60; public",
        b"public=1, max-age=60",
        b"publicly, max-age=60",
        b"s-maxage, max-age=60",
        b"s-maxage=soon, max-age=60",
        b"s-maxage=-1",
    ],
)
def test_private_is_added(said: bytes) -> None:
    """Ahead of what the upstream says, which stays as it is."""
    assert cache_control(b"Cache-Control: " + said) == b"private, " + said


@pytest.mark.parametrize(
    "lines", [(), (b"Cache-Control: ",), (b"cache-control:", b"Cache-Control:")]
)
def test_private_is_said_where_nothing_is(lines: tuple[bytes, ...]) -> None:
    """An answer that says nothing of caches may be kept by guess (RFC 9111 §4.2.2)."""
    assert cache_control(*lines) == b"private"


@pytest.mark.parametrize(
    "said",
    [
        b"public, max-age=60",
        b"max-age=60,Public",
        b"s-maxage=60",
        b's-maxage="60"',
        b"max-age=60, must-revalidate",
        b"private",
        b"no-store",
        b"max-age=0, Private, x",
        b'x="a\\"b", public',
        b" , ,public",
    ],
)
def test_the_upstreams_word_stands(said: bytes) -> None:
    """It allows shared caches to keep answers to Authorization (RFC 9111 §3.5), or forbids it."""
    assert cache_control(b"Cache-Control: " + said) == said.strip()


def test_several_lines_are_one_list() -> None:
    """A directive counts in whichever line it stands (RFC 9110 §5.3)."""
    assert (
        cache_control(b"Cache-Control: max-age=6", b"cache-control: x") == b"private, max-age=6, x"
    )
    assert (
        cache_control(b"Cache-Control: max-age=6", b"cache-control: public") == b"max-age=6, public"
    )


@pytest.mark.parametrize("name", [b"Cdn-Cache-Control", b"Cloudflare-Cdn-Cache-Control"])
def test_a_field_for_one_kind_of_cache(name: bytes) -> None:
    """A cache that obeys it does not hear Cache-Control (RFC 9213 §2.2), so it has its own word."""
    public = b"Cache-Control: public"
    assert name + b": private, max-age=60" in told(public, name + b": max-age=60")
    for said in (b"public, max-age=60", b"no-store"):
        assert name + b": " + said in told(name + b": " + said)


@pytest.mark.parametrize(
    ("said", "forbidden"),
    [
        (b"X-Accel-Expires: 60", b"X-Accel-Expires: 0"),
        (b"x-accel-expires: @1893456000", b"X-Accel-Expires: 0"),
        (b"Surrogate-Control: max-age=60", b"Surrogate-Control: no-store, max-age=60"),
        (
            b'Surrogate-Control: content="ESI/1.0"',
            b'Surrogate-Control: no-store, content="ESI/1.0"',
        ),
        (b"Surrogate-Control: no-store", b"Surrogate-Control: no-store"),
    ],
)
def test_fields_that_have_no_word_for_leave(said: bytes, forbidden: bytes) -> None:
    """nginx and surrogates obey them before Cache-Control, which has to give leave for them."""
    assert forbidden in told(said)
    assert forbidden in told(said, b"Cache-Control: max-age=60")
    assert forbidden in told(said, b"Cache-Control: private")
    assert said.lower() in [line.lower() for line in told(said, b"Cache-Control: public")]


@pytest.mark.parametrize(
    ("lines", "names", "vary"),
    [
        ((), COOKIE, b"Cookie"),
        ((b"Vary: Accept",), COOKIE, b"Accept, Cookie"),
        ((b"vary:",), COOKIE, b"Cookie"),
        ((b"Vary: accept, COOKIE",), COOKIE, b"accept, COOKIE"),
        ((b"Vary: Accept", b"Vary: Origin"), COOKIE, b"Accept, Origin, Cookie"),
        ((b"Vary: *",), COOKIE, b"*"),
        ((b"Vary: Accept", b"Vary: *"), COOKIE, b"Accept, *"),
        ((b"Vary: X-Cookie",), COOKIE, b"X-Cookie, Cookie"),
        ((b"Vary: x-api-key",), (b"Cookie", b"X-Api-Key"), b"x-api-key, Cookie"),
    ],
)
def test_vary_names_where_the_key_was(
    lines: tuple[bytes, ...], names: tuple[bytes, ...], vary: bytes
) -> None:
    """In one line, for nginx reads the last one only; and once."""
    for private in (True, False):
        found = told(*lines, private=private, key_fields=names)
        assert [line for line in found if line.startswith(b"Vary")] == [b"Vary: " + vary]


def test_an_answer_to_nobody_in_particular() -> None:
    """It may be kept: only for whom is said."""
    lines = (b"Cache-Control: max-age=60", b"X-Accel-Expires: 60")
    assert told(*lines, private=False) == [*lines, b"Vary: Cookie"]
