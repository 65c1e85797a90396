"""Editing a JSON text without writing it anew."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import json_text
from gateway.core.json_text import NotJson, TooComplex

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def leaves(data: Any, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], str]]:
    """All strings of parsed JSON with their paths, as an oracle."""
    if isinstance(data, str):
        return [(path, data)]
    if isinstance(data, list):
        return [leaf for at, inner in enumerate(data) for leaf in leaves(inner, (*path, at))]
    if isinstance(data, dict):
        return [leaf for name, inner in data.items() for leaf in leaves(inner, (*path, name))]
    return []


@given(VALUES, st.sampled_from([None, 2]), st.booleans())
def test_the_strings_are_those_of_the_parser(
    data: Any, indent: int | None, ascii_only: bool
) -> None:
    """Paths and values are what a JSON parser sees, however the text is laid out."""
    text = json.dumps(data, indent=indent, ensure_ascii=ascii_only)
    found = [
        (string.path, string.value) for string in json_text.strings(text) if not string.is_name
    ]
    assert found == leaves(data)


@given(VALUES)
def test_an_edit_changes_one_string_and_nothing_else(data: Any) -> None:
    """Around an edited string the text stays byte for byte as it was."""
    text = json.dumps(data, indent=1)
    for string in json_text.strings(text):
        edited = json_text.replaced(text, [(string, 'new "value" é')])
        assert edited == text[: string.start] + '"new \\"value\\" \\u00e9"' + text[string.end :]
        json.loads(edited)


def test_members_of_the_same_name_are_all_seen() -> None:
    """A parser keeps the last of them; the text has all (RFC 8259 §4)."""
    strings = json_text.strings('{"a": "one", "a": "two", "b": {"a": "three"}}')
    assert [string.value for string in strings if not string.is_name] == ["one", "two", "three"]
    assert [string.path for string in strings if not string.is_name] == [("a",), ("a",), ("b", "a")]


def test_names_are_strings_of_the_object_around() -> None:
    """A member's name is seen too, marked as such."""
    strings = json_text.strings('{"x": ["y", {"z": "v"}]}')
    assert [(string.value, string.is_name, string.path) for string in strings] == [
        ("x", True, ()),
        ("y", False, ("x", 0)),
        ("z", True, ("x", 1)),
        ("v", False, ("x", 1, "z")),
    ]


def test_escapes_are_undone_in_values_and_names() -> None:
    """What is compared is what a reader of the JSON gets."""
    strings = json_text.strings(r'{"t\u006fken": "e\u0079J\/\"\\"}')
    assert [string.value for string in strings] == ["token", 'eyJ/"\\']


def test_the_name_is_the_nearest_member() -> None:
    """In a list, a value is named by the member that the list is in."""
    string = json_text.strings('{"tokens": [["x"]]}')[-1]
    assert string.name == "tokens"


@pytest.mark.parametrize(
    "text", ["", "{", "no", "{'a': 1}", '{"a": "b"} x', '"\x01"', "[" * 100_000, '{"a": 1,}']
)
def test_other_texts_are_refused(text: str) -> None:
    """What is no JSON is not half read; endless nesting is none."""
    with pytest.raises(NotJson):
        json_text.strings(text)


def test_a_byte_order_mark_is_passed_over() -> None:
    """RFC 8259 §8.1: a parser may ignore it, and many backends write it."""
    text = '\ufeff{"a": "b"}'
    string = json_text.strings(text)[-1]
    assert json_text.replaced(text, [(string, "c")]) == '\ufeff{"a": "c"}'


@pytest.mark.parametrize(
    ("pointer", "parts"),
    [
        ("/data/token", ("data", "token")),
        ("/a~1b/m~0n", ("a/b", "m~n")),
        ("/~01", ("~1",)),
        ("/list/0", ("list", "0")),
        ("/", ("",)),
    ],
)
def test_pointers(pointer: str, parts: tuple[str, ...]) -> None:
    """RFC 6901 §3 and §4, its escapes in the order that it asks for."""
    assert json_text.pointed(pointer) == parts


def test_a_text_takes_room_by_its_size() -> None:
    """Not by how deep its strings are: the path to them is kept once."""
    text = '{"a":' * 60 + "[" + '"",' * 20_000 + '""]' + "}" * 60
    tracemalloc.start()
    strings = json_text.strings(text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(strings) == 20_061
    assert peak < 100 * len(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 65 + "]" * 65,
        '{"a":' * 2000 + "1" + "}" * 2000,
        "[" + '"",' * json_text.MAX_PIECES + '""]',
        "[" + "[]," * json_text.MAX_PIECES + "1]",
        '{"n": %s, "t": "x"}' % ("1" * 5000),
    ],
    ids=["deeper", "far deeper", "strings", "lists", "digits"],
)
def test_what_could_not_be_meant_is_too_complex(text: str) -> None:
    """Reading it would take others' time. It is not taken for a text that is no JSON."""
    with pytest.raises(TooComplex):
        json_text.strings(text)


def test_a_deep_text_has_no_value_either() -> None:
    """Whatever reads it: how deep Python itself gets depends on who asks."""
    assert json_text.value("[" * 64 + "]" * 64)
    deeper = "[" * 65 + "]" * 65
    with pytest.raises(TooComplex):
        json_text.value(deeper)
    with pytest.raises(TooComplex):
        json_text.document(deeper)
