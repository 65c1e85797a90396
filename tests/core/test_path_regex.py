"""Expressions for paths: they mean what Python's mean, in linear time."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.http.path_regex import BadRegex, compiled

ATOMS = st.sampled_from(["a", "b", "/", ".", "[ab]", "[^a]", r"\d", r"\."])
REGEXES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("|".join),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{2,}"])).map(
            lambda pair: f"({pair[0]}){pair[1]}"
        ),
    ),
    max_leaves=6,
)


@settings(max_examples=300)
@given(REGEXES, st.text("ab/.1", max_size=8))
def test_an_expression_fits_what_pythons_does(text: str, path: str) -> None:
    """`re` is the oracle."""
    expected = re.fullmatch(text.encode(), path.encode(), re.DOTALL) is not None
    assert compiled(text).fits(path.encode()) is expected


def test_no_path_makes_it_slow() -> None:
    """What takes a backtracking matcher years takes milliseconds."""
    path = b"/" + b"a" * 8000
    began = time.perf_counter()
    assert not compiled("/(a+)+b").fits(path)
    assert not compiled("/(a|aa)*(a*)*c").fits(path)
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    "text",
    ["/(a", "/a)", "/[", "/a{", "/a{9999}", "/^a", "/a$", r"/\b", "/a**", "/(a|b)*a(a|b){14}"],
)
def test_bad_expressions(text: str) -> None:
    """They are refused with a reason."""
    with pytest.raises(BadRegex):
        compiled(text)


@given(REGEXES, REGEXES, st.text("ab/.1", max_size=6))
def test_an_expression_within_another(one: str, other: str, path: str) -> None:
    """Then no path fits the first alone; each is within the choice of both."""
    inner, outer = compiled(one), compiled(other)
    if inner.is_within(outer) and inner.fits(path.encode()):
        assert outer.fits(path.encode())
    assert inner.is_within(compiled(f"{other}|{one}"))
    assert inner.is_within(compiled("(.|/)*"))
