"""Path patterns: two views of what they fit agree."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gateway.core.http.path_patterns import PathPattern, parse
from gateway.core.http.path_regex import compiled
from gateway.core.http.routing import Rule, Table

SEGMENTS = st.lists(st.sampled_from(["a", "b.x", "{n}"]), max_size=3)
ENDS = st.sampled_from(["", "/", "/*", "/*.x", "/*b.x", "-"])
PATHS = st.lists(st.sampled_from(["a", "b.x", "c", ""]), max_size=4).map(
    lambda names: "/" + "/".join(names)
)


@st.composite
def patterns(draw: st.DrawFn) -> PathPattern:
    names = [name.replace("n", f"n{at}") for at, name in enumerate(draw(SEGMENTS))]
    text = "".join(f"/{name}" for name in names) + draw(ENDS).replace("-", "/a")
    return parse(text or "/", bare=draw(st.booleans()))


def fits(pattern: PathPattern, path: str) -> bool:
    table = Table([Rule(pattern, None, "")])
    return bool(table.any_host.fitting(path.encode()))


@given(patterns(), PATHS)
def test_the_expression_of_a_pattern(pattern: PathPattern, path: str) -> None:
    assert compiled(pattern.as_regex).fits(path.encode()) is fits(pattern, path)


@given(patterns(), patterns(), PATHS)
def test_patterns_that_meet(one: PathPattern, other: PathPattern, path: str) -> None:
    """What fits both is seen; what two patterns without a star share is a path."""
    assert one.meets(other) is other.meets(one)
    if fits(one, path) and fits(other, path):
        assert one.meets(other)
    if one.meets(other) and not one.is_prefix:
        ways = itertools.zip_longest(one.segments, other.segments)
        known = [next((part for part in way if part is not None), b"b.x") for way in ways]
        shared = b"".join(b"/" + part for part in known).decode()
        assert fits(one, shared)
        assert fits(other, shared)
