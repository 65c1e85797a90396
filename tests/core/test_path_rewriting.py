"""Paths that routes rewrite: nothing that a client wrote leaves its segment."""

import time

import pytest

from gateway.core.http import path_rewriting
from gateway.core.http.path_rewriting import BadPattern
from gateway.core.http.paths import AmbiguousPath

OLD = path_rewriting.by_pattern(r"^/old/(.*)$", "/new/$1")
ITEM = path_rewriting.by_template("/p/{id}/*", "/items/${path.id}/.in/${path.*}")


@pytest.mark.parametrize(
    ("rewrite", "path", "expected"),
    [
        (OLD, b"/old/x/y", b"/new/x/y"),
        (OLD, b"/o%6cd/a%20b", b"/new/a%20b"),
        (OLD, b"/other/x", b"/other/x"),
        (ITEM, b"/p/5/x/y", b"/items/5/.in/x/y"),
        (ITEM, b"/p/caf%C3%A9/", b"/items/caf%C3%A9/.in/"),
        (path_rewriting.by_pattern("/a(.*)", "$1"), b"/a//evil.example", b"/evil.example"),
        (path_rewriting.by_pattern("/a(/x)?", "/b$1"), b"/a", b"/b"),
    ],
)
def test_what_becomes_of_a_path(
    rewrite: path_rewriting.Rewrite, path: bytes, expected: bytes
) -> None:
    """A pattern matches the whole path, in its strict reading; `*` is what is below a prefix."""
    assert rewrite(path) == expected


@pytest.mark.parametrize(
    "value",
    [
        r"..",
        r".",
        r"%2e%2e",
        r"a%2Fb",
        r"a%5Cb",
        r"a\b",
        r"a%3Fb",
        r"a%23b",
        r"%252f",
        r"..;x",
        r"a%00",
        r"a%0d%0aX:y",
        r"%c0%af",
        r"%20..",
    ],
)
@pytest.mark.parametrize("rewrite", [OLD, path_rewriting.by_template("/old/{id}", "/n/${path.id}")])
def test_a_value_stays_in_its_segment(rewrite: path_rewriting.Rewrite, value: str) -> None:
    """However a backend decodes it, the path has no other segments and no query."""
    with pytest.raises(AmbiguousPath):
        rewrite(b"/old/" + value.encode())


def test_a_value_beside_a_dot_makes_no_climb() -> None:
    rewrite = path_rewriting.by_template("/p/{id}", "/x/.${path.id}/y")
    assert rewrite(b"/p/a") == b"/x/.a/y"
    with pytest.raises(AmbiguousPath):
        rewrite(b"/p/.")


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("[", "is not a regular expression"),
        ("(a*)*", "repeats more than a letter"),
        ("(?:/[a-z]+)+", "repeats more than a letter"),
        ("(a|aa)+b", "repeats more than a letter"),
        ("(a?b?)*", "repeats more than a letter"),
        ("/(.*)/(.*)/(.*)", "more than two repetitions"),
        (r"/(x)\1", "refers to a group"),
    ],
)
def test_patterns_that_could_take_minutes(pattern: str, said: str) -> None:
    with pytest.raises(BadPattern, match=said):
        path_rewriting.compiled(pattern)


def test_the_worst_pattern_is_bounded() -> None:
    """Some 20 ms: a longer path is refused."""
    rewrite = path_rewriting.by_pattern("(.*)(.*)x", "/$1")
    began = time.process_time()
    rewrite(b"/" + b"a" * (path_rewriting.MAX_MATCHED_BYTES - 1))
    assert time.process_time() - began < 2
    with pytest.raises(AmbiguousPath):
        rewrite(b"/" + b"a" * path_rewriting.MAX_MATCHED_BYTES)
