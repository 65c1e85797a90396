"""reply_rewriting: what the client gets of a reply, and what it never gets."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.logins import reply_rewriting, reply_tokens
from gateway.core.logins.replies import Reply, UnreadableReply
from gateway.core.logins.reply_tokens import InBody, NoToken
from gateway.core.logins.token_places import parse_token_place
from tests.support.replies import ACCESS, JSON, KEY, OTHER, REFRESH, reply


def swapped(given: Reply, place: str = "auto") -> Reply:
    """What the client gets of a login's reply."""
    return reply_rewriting.swap(given, reply_tokens.find(given, parse_token_place(place)), KEY)


def no_token_in(given: Reply, *tokens: str) -> bool:
    text = repr(given.fields) + given.body.decode("latin-1")
    return not any(token in text for token in tokens or (ACCESS, REFRESH, OTHER))


@pytest.mark.parametrize("kind", ["text/plain", "application/jwt", "text/html", "application/json"])
def test_auto_takes_a_text_that_is_a_token(kind: str) -> None:
    """Some backends answer with the bare token, whatever they call that."""
    given = reply(f"{ACCESS}\n".encode(), ("Content-Type", kind))
    assert reply_tokens.find(given, parse_token_place("auto")) == InBody(ACCESS)
    assert swapped(given).body == f"{KEY}\n".encode()


@pytest.mark.parametrize(
    "field",
    [
        ("Location", f"/app#token={ACCESS}"),
        ("Location", ACCESS),
        ("Link", f"<{ACCESS}>; rel=next"),
        ("Refresh", f"0; url=/{ACCESS}"),
        ("Content-Location", ACCESS),
        ("WWW-Authenticate", f"Bearer {ACCESS}"),
        ("X-Unusual", ACCESS),
        ("X-Token", f"it is {ACCESS}!"),
        ("X-CSRF-Token", ACCESS),
        ("X-MFA-Token", ACCESS),
        ("X-Refresh-Token", ACCESS),
        ("Set-Cookie", f"unusual={ACCESS}"),
        ("Set-Cookie", f"csrf_access_token={ACCESS}"),
        ("Set-Cookie", f"XSRF-TOKEN={ACCESS}"),
        ("Set-Cookie", f"mfa_token={ACCESS}"),
        ("Set-Cookie", f"token=none; Path=/{ACCESS}"),
        ("Set-Cookie", f"flash=token; token={ACCESS}"),
    ],
)
@pytest.mark.parametrize("status", [200, 302])
def test_auto_takes_no_token_from_elsewhere(field: tuple[str, str], status: int) -> None:
    """Only from where tokens are known to be: not from an address, nor under an unknown name."""
    given = reply({"ok": True}, JSON, field, status=status)
    with pytest.raises(NoToken):
        reply_tokens.find(given, parse_token_place("auto"))
    assert ACCESS not in str(reply_rewriting.scrub(given).fields)


@pytest.mark.parametrize(
    ("place", "body"),
    [
        ("/data/token", {"token": OTHER, "data": {"token": ACCESS}}),
        ("/tokens/1", {"tokens": [OTHER, ACCESS]}),
        ("/a~1b/~0c", {"a/b": {"~c": ACCESS}}),
        ("/data/token", {"data": {"token": f"Bearer {ACCESS}"}}),
        ("/refresh", {"refresh": ACCESS, "access": OTHER}),
    ],
)
def test_a_pointer_says_where(place: str, body: Any) -> None:
    """RFC 6901: what config.yaml points at is taken, whatever else there is."""
    given = reply(body)
    assert reply_tokens.find(given, parse_token_place(place)) == InBody(ACCESS)
    after = swapped(given, place)
    assert KEY.encode() in after.body
    assert no_token_in(after)


def test_the_reply_stays_byte_for_byte_around_the_token() -> None:
    """Layout, escapes, numbers and the order of members are the frontend's affair, not ours."""
    text = '{ "n": 1.0e2,\n\t"token" : "%s", "caf\\u00e9": "é\\/", "big": 12345678901234567890 }\n'
    given = reply((text % ACCESS).encode())
    assert swapped(given).body == (text % KEY).encode()


def test_a_scheme_before_the_token_stays() -> None:
    """The frontend sends back what it got, `Bearer ` included."""
    assert json.loads(swapped(reply({"token": f"Bearer {ACCESS}"})).body) == {
        "token": f"Bearer {KEY}"
    }
    given = reply({}, JSON, ("Authorization", f"Bearer {ACCESS}"))
    assert swapped(given).field("authorization") == f"Bearer {KEY}"


def test_a_cookie_keeps_its_attributes() -> None:
    """The key takes the token's place in the cookie; whose cookie it is does not change."""
    given = reply({}, JSON, ("Set-Cookie", f"jwt={ACCESS}; Path=/; HttpOnly; SameSite=Lax"))
    assert swapped(given).fields[1] == ("Set-Cookie", f"jwt={KEY}; Path=/; HttpOnly; SameSite=Lax")


def test_the_same_token_twice_in_the_body_is_the_key_twice() -> None:
    """Some backends give it at the top and in the user object; a frontend may read either."""
    given = reply({"token": ACCESS, "user": {"token": ACCESS}})
    assert json.loads(swapped(given).body) == {"token": KEY, "user": {"token": KEY}}


def test_a_second_carrier_does_not_get_the_key() -> None:
    """A client with the key in a cookie and in a header would send two, which is refused."""
    given = reply({"token": ACCESS}, JSON, ("Set-Cookie", f"jwt={ACCESS}"), ("X-Token", ACCESS))
    after = swapped(given)
    assert json.loads(after.body) == {"token": KEY}
    assert after.fields == (JSON, ("X-Token", ""))
    by_cookie = swapped(given, "cookie:jwt")
    assert json.loads(by_cookie.body) == {"token": ""}
    assert by_cookie.fields == (JSON, ("Set-Cookie", f"jwt={KEY}"), ("X-Token", ""))


@pytest.mark.parametrize(
    "body",
    [
        {"refresh": REFRESH},
        {"refresh_token": "opaque-refresh"},
        {"refreshToken": "opaque-refresh"},
        {"data": [{"deep": {"RefreshToken": "opaque-refresh"}}]},
        {"refresh": {"token": "opaque-refresh", "expires": "2030-01-01"}},
        {"refresh_tokens": ["opaque-refresh"]},
        {"rt": "opaque-refresh"},
        {"app_refresh_token": "opaque-refresh"},
        {"x": [OTHER, {OTHER: OTHER}]},
        {"text": f"see {OTHER} and {REFRESH}"},
        {"inner": json.dumps({"token": OTHER})},
        {"next": "/x?refresh_token=opaque-refresh&y=1"},
        {"next": f"/x#access_token={OTHER}"},
    ],
)
def test_nothing_that_would_do_instead_of_a_key_is_left(body: dict[str, Any]) -> None:
    """Other JWTs go at any depth, refresh tokens by their names, opaque ones too
    (wire-rules.md#C4).
    """
    after = swapped(reply({"token": ACCESS, **body}))
    assert no_token_in(after)
    assert b"opaque-refresh" not in after.body
    assert json.loads(after.body)["token"] == KEY


def test_what_stands_beside_a_refresh_token_stays() -> None:
    """Only the token itself goes; what a frontend may read of it does not."""
    beside = {
        "refresh_token_expires_in": 3600,
        "refresh_expires": "2030-01-01T00:00:00Z",
        "refresh_url": "/token/refresh",
        "refresh": {"expires_at": "2030-01-01", "type": "opaque", "ttl": 5, "rotates": True},
        "refreshed": "yes",
        "form": {"refresh": ["This field is required."]},
    }
    assert json.loads(swapped(reply({"token": ACCESS, **beside})).body) == {"token": KEY, **beside}


@pytest.mark.parametrize(
    "field",
    [
        ("X-Refresh-Token", "opaque-refresh"),
        ("Refresh-Token", REFRESH),
        ("Set-Cookie", "refresh_token=opaque-refresh; Path=/"),
        ("Set-Cookie", f"session={OTHER}; Path=/"),
        ("Set-Cookie", "rt=opaque-refresh"),
    ],
)
def test_fields_and_cookies_of_other_tokens_go(field: tuple[str, str]) -> None:
    """A field that would only hand out another token is left out as a whole."""
    assert swapped(reply({"token": ACCESS}, JSON, field)).fields == (JSON,)


@pytest.mark.parametrize(
    ("field", "after"),
    [
        (("Location", f"/app?t={OTHER}&x=1"), ("Location", "/app?t=&x=1")),
        (("Location", "/a#refresh_token=opaque"), ("Location", "/a#refresh_token=")),
        (("Refresh", "5; url=/home"), ("Refresh", "5; url=/home")),
        (
            ("Set-Cookie", "refresh_token=; Max-Age=0"),
            ("Set-Cookie", "refresh_token=; Max-Age=0"),
        ),
        (("Set-Cookie", "theme=dark; Path=/"), ("Set-Cookie", "theme=dark; Path=/")),
        (("X-Version", "1.2.3"), ("X-Version", "1.2.3")),
    ],
)
def test_other_fields_stay(field: tuple[str, str], after: tuple[str, str]) -> None:
    """What else a reply says passes, deletions of cookies among it."""
    assert swapped(reply({"token": ACCESS}, JSON, field)).fields == (JSON, after)


def test_what_speaks_of_the_old_bytes_goes() -> None:
    """A changed body has another tag and another digest (RFC 9110 §8.8, RFC 9530)."""
    given = reply({"token": ACCESS}, JSON, ("ETag", '"x"'), ("Digest", "sha-256=x"))
    assert swapped(given).fields == (JSON,)
    kept = reply({"detail": "no"}, JSON, ("ETag", '"x"'), status=401)
    assert reply_rewriting.scrub(kept) == kept


@pytest.mark.parametrize(
    "text",
    [
        f'{{"token": "none", "token": "{ACCESS}"}}',
        f'{{"token": "{ACCESS}", "token": "{ACCESS}"}}',
        f'{{"x": "{OTHER}", "x": 1, "token": "{ACCESS}"}}',
        f'{{"refresh": "opaque-one", "refresh": "opaque-two", "token": "{ACCESS}"}}',
    ],
)
def test_members_of_the_same_name_hide_nothing(text: str) -> None:
    """A reader takes the last member of a name, and the first ones are not left in the text."""
    after = swapped(reply(text.encode()))
    assert json.loads(after.body)["token"] == KEY
    assert no_token_in(after)
    assert b"opaque" not in after.body


def test_escapes_hide_nothing() -> None:
    """A token that is spelled in JSON escapes is found, swapped and blotted out."""
    spelled = "".join(f"\\u{ord(character):04x}" for character in ACCESS)
    other = OTHER.replace("e", "\\u0065").replace(".", "\\u002e")
    after = swapped(reply(f'{{"t\\u006fken": "{spelled}", "x": "{other}"}}'.encode()))
    assert json.loads(after.body) == {"token": KEY, "x": ""}


@pytest.mark.parametrize(
    ("encoding", "content_type"),
    [
        ("utf-8", "application/json"),
        ("utf-8", "application/json; charset=utf-8"),
        ("utf-8-sig", "application/json; charset=UTF-8"),
        ("utf-16", "application/json"),
        ("utf-16-le", "application/json; charset=utf-16le"),
        ("utf-16-be", "application/json"),
        ("utf-32", "application/json"),
        ("latin-1", "application/json; charset=iso-8859-1"),
        ("euc-kr", 'application/json;charset="euc-kr"'),
        ("utf-8", "text/html"),
        ("utf-8", "application/json; charset=nonsense"),
        ("utf-8", "application/json; charset=utf-16"),
        ("utf-16-le", "application/json; charset=utf-8"),
    ],
)
def test_every_encoding_is_read_and_written_back(encoding: str, content_type: str) -> None:
    """No mark and no charset hides a token; the other bytes stay (wire-rules.md#E2)."""
    word = "é" if encoding == "latin-1" else "한글"
    text = '{"token": "%s", "w": "%s", "x": "%s"}'
    given = reply((text % (ACCESS, word, OTHER)).encode(encoding), ("Content-Type", content_type))
    assert swapped(given).body == (text % (KEY, word, "")).encode(encoding)


def test_a_text_that_cannot_be_read_passes_only_without_a_token() -> None:
    """Bytes of no encoding pass as they came, and a token between them goes."""
    given = reply(
        b"caf\xe9 " + OTHER.encode() + b" \xff", ("Content-Type", "text/html"), status=401
    )
    assert reply_rewriting.scrub(given).body == b"caf\xe9  \xff"


def test_a_token_under_an_encoding_that_hides_it_is_refused() -> None:
    """If the bytes still spell a token when all is done, the reply is not passed on."""
    hidden = b"\0".join(OTHER[at : at + 1].encode() for at in range(len(OTHER))) + b"\0\xff"
    with pytest.raises(UnreadableReply):
        reply_rewriting.scrub(reply(b"x" + hidden, ("Content-Type", "text/plain"), status=500))


@pytest.mark.parametrize(
    "body",
    [
        f')]}}\',\n{{"token": "{OTHER}"}}',
        f"<script>var t='{OTHER}'</script>",
        f'callback({{"refresh_token": "opaque-refresh", "t": "{OTHER}"}})',
        f"access_token={OTHER}&refresh_token=opaque-refresh",
        f'{{"a": "{OTHER}"}}{{"a": "{OTHER}"}}',
        "[" * 5000 + f'"{OTHER}"',
    ],
)
def test_other_texts_are_scrubbed_too(body: str) -> None:
    """A token is taken out of pages, forms, scripts and broken JSON as well."""
    after = reply_rewriting.scrub(reply(body.encode(), ("Content-Type", "text/plain"), status=302))
    assert no_token_in(after)
    assert b"opaque-refresh" not in after.body
    assert len(after.body) >= len(body) - len(OTHER) * 2 - len("opaque-refresh")


def test_a_refusal_without_tokens_passes_as_it_came() -> None:
    """Nothing is rewritten where there is nothing to take out."""
    given = reply(
        b'{"refresh": ["required"], "code": "token_not_valid"}',
        JSON,
        ("WWW-Authenticate", 'Bearer realm="api"'),
        ("X-Refresh-Token", "missing"),
        status=401,
    )
    assert reply_rewriting.scrub(given) == given


JSON_VALUES = st.recursive(
    st.none() | st.integers() | st.text() | st.sampled_from([ACCESS, OTHER, f"x {REFRESH}"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text() | st.sampled_from(["token", "refresh", OTHER]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON_VALUES, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]), st.booleans())
def test_no_reply_leaks_a_token(data: Any, encoding: str, ascii_only: bool) -> None:
    """Whatever JSON surrounds them, tokens are gone, the key is there, and it is JSON still."""
    text = json.dumps({"a": data, "token": ACCESS}, ensure_ascii=ascii_only)
    given = reply(text.encode(encoding, "surrogatepass"))
    after = reply_rewriting.swap(given, InBody(ACCESS), KEY)
    plain = after.body.replace(b"\0", b"").decode("latin-1")
    assert not any(token in plain for token in (ACCESS, OTHER, REFRESH))
    if not text.isascii() and "\ud800" <= max(text) <= "\udfff":
        return  # no encoding holds a lone surrogate, so the text was rewritten as bytes
    assert json.loads(after.body)["token"] == KEY


@given(st.binary(max_size=300), st.text(max_size=30))
def test_no_body_breaks_the_reading(body: bytes, content_type: str) -> None:
    """Any bytes under any content type are either read, or found to hold nothing."""
    given = Reply(200, (("Content-Type", content_type),), body)
    with pytest.raises(NoToken):
        reply_tokens.find(given, parse_token_place("auto"))
    assert reply_rewriting.scrub(given).status == 200
