"""JWTs in texts: what is one, what is none, and that looking for them is never slow."""

import base64
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.tokens import jwt_text

KEY = "a secret of the tests, long enough to sign"
TOKEN = jwt.encode({"sub": "alice"}, KEY)


def part(data: object, **how: object) -> str:
    """One part of a JWT, from JSON written in some way."""
    return base64.urlsafe_b64encode(json.dumps(data, **how).encode()).rstrip(b"=").decode()  # type: ignore[arg-type]


def found(text: str) -> list[str]:
    return [text[start:end] for start, end in jwt_text.spans(text)]


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        f"Bearer {TOKEN}",
        f'<script>token = "{TOKEN}";</script>',
        f"/app?token={TOKEN}&x=1",
        f"#access_token={TOKEN}",
        f"s%3A{TOKEN}",
        f"jwt-{TOKEN}",
        f"({TOKEN})",
        f"{TOKEN}, and so on",
    ],
)
def test_a_jwt_is_found_in_any_surrounding(text: str) -> None:
    """A JWT is seen wherever it stands, even with other characters glued to its front."""
    assert found(text) == [TOKEN]


@pytest.mark.parametrize(
    "header",
    [
        part({"alg": "HS256"}),
        part({"typ": "JWT", "alg": "HS256"}, indent=2),
        part({"alg": "HS256"}, separators=(" , ", " : ")),
        base64.urlsafe_b64encode(b'{ "alg": "HS256"}').rstrip(b"=").decode(),
        base64.urlsafe_b64encode(b'{\r\n"alg": "HS256"}').rstrip(b"=").decode(),
        base64.urlsafe_b64encode(b'\n{"alg": "HS256"}').rstrip(b"=").decode(),
        base64.urlsafe_b64encode(b' {"alg": "HS256"}').rstrip(b"=").decode(),
        part({"alg": "RS256", "x5c": ["A" * 20000]}),
    ],
)
def test_a_header_may_be_written_in_any_way(header: str) -> None:
    """The header is JSON, so white space and order do not hide a token (RFC 7515 §4)."""
    token = f"{header}.{part({'sub': 'alice'})}.c2ln"
    assert found(f"x {token} y") == [token]


def test_an_unsigned_and_a_detached_token_count() -> None:
    """RFC 7519 §6 and RFC 7515 appendix F: the signature or the payload may be empty."""
    header = part({"alg": "none"})
    for token in (f"{header}.{part({'sub': 'a'})}.", f"{header}..c2ln"):
        assert found(f'"{token}"') == [token]


def test_a_jwe_is_one_with_its_five_parts() -> None:
    """An encrypted token is a token (RFC 7516 §7.1), and goes as a whole."""
    token = f"{part({'alg': 'dir', 'enc': 'A256GCM'})}..aXY.Y2lwaGVy.dGFn"
    assert found(f"{token} {TOKEN}") == [token, TOKEN]


def test_two_tokens_in_a_row_are_two() -> None:
    """Tokens that are joined by a dot hide none of each other."""
    assert found(f"{TOKEN}.{TOKEN}") == [TOKEN, TOKEN]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "www.example.com",
        "1.2.3",
        "a.b.c.d.e",
        "version-1.22.333-beta",
        "eyJhbGciOiJIUzI1NiJ9",
        "eyJhbGciOiJIUzI1NiJ9.x",
        "eyesight.is.good",
        "lk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        f"{part(['alg'])}.{part({})}.c2ln",
    ],
)
def test_other_texts_are_none(text: str) -> None:
    """Hosts, versions, keys and halves of a token are left alone."""
    assert found(text) == []


def test_sole_asks_for_nothing_but_the_token() -> None:
    """A value that hands a token out is the token, maybe behind a scheme; a sentence is none."""
    assert jwt_text.sole(TOKEN) == TOKEN
    assert jwt_text.sole(f"  Bearer {TOKEN}\n") == TOKEN
    assert jwt_text.sole(f"JWT {TOKEN}") == TOKEN
    assert jwt_text.sole(f"your token is {TOKEN}") == ""
    assert jwt_text.sole(f"{TOKEN} {TOKEN}") == ""
    assert jwt_text.sole("nothing") == ""


@given(st.text(), st.text(), st.dictionaries(st.text(), st.text()))
def test_nothing_is_left_after_replacing(before: str, after: str, claims: dict[str, str]) -> None:
    """Whatever surrounds a token, no token is left when each has been replaced."""
    token = jwt.encode(claims, KEY)
    text = f"{before} {token} {after}"
    left = jwt_text.replaced(text, lambda _token: "")
    assert token not in left
    assert found(left) == []


@given(st.text(alphabet='eyJwo0A_-. "{}', max_size=200))
def test_texts_of_token_like_characters_are_read(text: str) -> None:
    """No made-up text breaks the search, and what is found lies in the text in order."""
    ends = [0]
    for start, end in jwt_text.spans(text):
        assert ends[-1] <= start < end <= len(text)
        ends.append(end)


@pytest.mark.parametrize(
    "text",
    [
        "eyJ" * 300_000,
        "a." * 400_000,
        "eyJh." * 180_000,
        "ewo" * 300_000,
        "eyJ_" * 200_000 + ".a.b",
    ],
    ids=["no dots", "dots only", "headers that are none", "white space", "one long part"],
)
def test_made_up_texts_take_no_long_time(text: str) -> None:
    """Reading is linear: a backend that echoes a client's text cannot be used to stop a worker.

    A search that starts over at each character would take minutes for these, and hang the test.
    """
    jwt_text.replaced(text, lambda _token: "")


# Which are signed.

CLAIMS = base64.urlsafe_b64encode(b'{"sub": "alice"}').rstrip(b"=").decode()


def jws(header: bytes, signature: str = "c2lnbmF0dXJl") -> str:
    return f"{base64.urlsafe_b64encode(header).rstrip(b'=').decode()}.{CLAIMS}.{signature}"


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"HS256"}',
        b'{ "typ" : "JWT", "alg" : "ES256K" }',
        b'{"alg":"http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"}',
        b'{"alg":"\\u0048S256"}',
    ],
)
def test_a_token_that_names_its_algorithm_is_signed(header: bytes) -> None:
    """Which algorithm that is, is between the backend and itself."""
    assert jwt_text.is_signed(jws(header))
    assert not jwt_text.is_signed(jws(header, "")), "an empty signature"
    assert not jwt_text.is_signed(jws(header, "x")), "no base64url"


@pytest.mark.parametrize(
    "header",
    [
        b'{"alg":"none"}',
        b'{"alg":"None"}',
        b'{"alg":"nOnE"}',
        b'{"alg":"NONE"}',
        b'{"alg":" none"}',
        b'{"alg":"none\\n"}',
        b'{"alg":"\\u006eone"}',
        '{"alg":"n\u043ene"}'.encode(),  # a Cyrillic o
        '{"alg":"\uff4eone"}'.encode(),
        b'{"alg":"none","alg":"HS256"}',
        b'{"alg":"HS256","alg":"none"}',
        b'{"alg":"HS256","alg":"HS256"}',
        b'{"alg":""}',
        b'{"alg":null}',
        b'{"alg":0}',
        b'{"alg":["HS256"]}',
        b'{"Alg":"HS256"}',
        b"{}",
        b'{"typ":"JWT"}',
        b'{"header":{"alg":"HS256"}}',
        '{"alg":"HS256"}'.encode("utf-16"),
        b'{"alg":"HS256"',
        b'["alg"]',
        b"5",
        b"",
    ],
)
def test_a_token_that_names_no_algorithm_is_not_signed(header: bytes) -> None:
    """RFC 8725 §3.2: however `none` is spelled, and whatever stands in the signature's place."""
    assert not jwt_text.is_signed(jws(header))
    assert not jwt_text.is_signed(jws(header, ""))


@pytest.mark.parametrize("text", ["", ".", "..", "a.b", "a.b.c", "....", "eyJhbGciOiJIUzI1NiJ9"])
def test_what_is_no_token_is_not_signed(text: str) -> None:
    """Any text may be asked about."""
    assert not jwt_text.is_signed(text)
