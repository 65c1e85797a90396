"""Realms: one subject is one person's, whatever names, hosts and claims are called."""

from itertools import product
from typing import Any

import pytest

from gateway.core.sessions import subjects
from gateway.core.sessions.realms import BadPrefix, NoRealm, Realm, parse_prefix, realms_of

# What a person, a tenant or a host may be called by who wants to be another one.
NAMES = ["1", "b:1", ":1", "a:b:1", "%3A1", "b%3A1", "%253A1", "%", ":", "a%", "staff:1"]


def realm(text: str) -> Realm:
    return realms_of({"one": parse_prefix(text), "other": parse_prefix("other:")})["one"]


@pytest.mark.parametrize(
    ("prefix", "name", "subject"),
    [
        ("staff:", "1", "staff:1"),
        ("staff:", "a:b", "staff:a%3Ab"),
        ("staff:", "50%", "staff:50%25"),
        ("", "1", "1"),
        ("", "staff:1", "staff%3A1"),
        ("{host}:", "1", "a.example:1"),
        ("shop:{claim:tenant}:", "1", "shop:blue:1"),
        ("{claim:number}:", "1", "7:1"),
        ("t-{claim:tenant}-x:{host}:", "1", "t-blue-x:a.example:1"),
        ("{claim:odd}:", "1", "a%3Ab%25:1"),
    ],
)
def test_subjects(prefix: str, name: str, subject: str) -> None:
    """A realm, then a name; a colon in either is none that separates."""
    claims = {"tenant": "blue", "number": 7.0, "odd": "a:b%"}
    found = realm(prefix).subject(name, claims, "a.example")
    assert found == subject
    assert realm(prefix).name_in(subject) == name
    assert realm(prefix).is_subject(subject, name, claims)


def test_without_any_prefix_a_name_is_a_subject() -> None:
    """So a gateway without realms names people as it always did."""
    alone = realms_of({"one": None, "two": parse_prefix("")})
    for name, found in product(NAMES, alone.values()):
        assert found.subject(name, {}) == name
        assert found.name_in(name) == name
        assert found.is_subject(name, name, {})


def test_no_two_people_have_one_subject() -> None:
    """Whatever they, their tenants and their hosts are called; nor is one in another's realm."""
    texts = ["", "a:", "a:b:", "staff:", "a:{claim:tenant}:", "{host}:{claim:tenant}:"]
    texts += ["x:{host}:y:", "b:{host}:"]
    seen: dict[str, tuple[Any, ...]] = {}
    for text, name, tenant in product(texts, NAMES, NAMES):
        prefix = parse_prefix(text)
        host = tenant.replace("%", "p").replace(":", "c") if prefix.has_host else ""
        claims = {"tenant": tenant} if prefix.claims else {}
        subject = realm(text).subject(name, claims, host)
        person = (text, name, str(claims), host)
        assert subject is not None
        assert seen.setdefault(subject, person) == person
    for subject, (text, name, *_) in seen.items():
        for other in texts:
            found = realm(other).name_in(subject)
            if not parse_prefix(text).may_equal(parse_prefix(other)):
                assert found is None
        assert realm(text).name_in(subject) == name


def test_whose_a_subject_is() -> None:
    """Of the same name and claims, at whatever host the login was; of no other one."""
    found = realm("{host}:{claim:tenant}:")
    subject = found.subject("1", {"tenant": "blue"}, "a.example") or ""
    assert found.is_subject(subject, "1", {"tenant": "blue"})
    for name, claims in (
        ("2", {"tenant": "blue"}),
        ("1", {"tenant": "red"}),
        ("1", {}),
        ("1", {"tenant": True}),
    ):
        assert not found.is_subject(subject, name, claims)
    for other in ("1", "blue:1", "a.example:1", "a.example:blue:1:1", ":blue:1", "a.example:blue:"):
        assert not found.is_subject(other, "1", {"tenant": "blue"})
        assert found.name_in(other) is None


@pytest.mark.parametrize("value", [None, "", True, [], ["a"], {}, 1.5, "a\nb", "x" * 1025])
def test_a_claim_that_puts_in_nothing(value: object) -> None:
    """There is no realm without it: an empty one would be another's."""
    with pytest.raises(NoRealm, match="claim tenant"):
        realm("{claim:tenant}:").subject("1", {"tenant": value})
    with pytest.raises(NoRealm, match="claim tenant"):
        realm("{claim:tenant}:").subject(None, {})


def test_a_request_without_a_host() -> None:
    """Likewise."""
    with pytest.raises(NoRealm, match="host"):
        realm("{host}:").subject("1", {}, "")


def test_what_is_no_subject() -> None:
    """No name, a subject that is too long, and one that stands for a token without any."""
    assert realm("staff:").subject(None, {}) is None
    longest = "x" * (subjects.MAX_CHARACTERS - len("staff:"))
    assert realm("staff:").subject(longest, {}) is not None
    assert realm("staff:").subject(longest + "x", {}) is None
    assert realm("token:").subject("0" * 32, {}) is None


@pytest.mark.parametrize(
    "text", ["staff", ":", "a::", "{host}", "{host}{host}:", "{claim}:", "{claim:}:", "a b:", "é:"]
)
def test_what_spells_no_realm(text: str) -> None:
    """With two things in one part, `ab` and `c` would be `a` and `bc`."""
    with pytest.raises(BadPrefix):
        parse_prefix(text)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a:", "a:", True),
        ("a:", "b:", False),
        ("a:", "a:b:", False),
        ("", "{host}:", False),
        ("{host}:", "a:", True),
        ("{host}:", "{claim:a}:", True),
        ("a-{host}:", "b-{host}:", False),
        ("a-{host}:", "a-b-{host}:", True),
        ("{host}-a:", "{host}-b:", False),
        ("a-{host}:", "a-b:", True),
        ("a-{host}:", "b:", False),
        ("a:{host}:", "{host}:b:", True),
        ("a:{host}:b:", "a:{host}:c:", False),
    ],
)
def test_prefixes_that_may_spell_the_same(one: str, other: str, expected: bool) -> None:
    """Told before any host or claim is known; where that is in doubt, they may."""
    assert parse_prefix(one).may_equal(parse_prefix(other)) is expected
    assert parse_prefix(other).may_equal(parse_prefix(one)) is expected
