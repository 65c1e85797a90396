"""Whose login is attempted: every way in which a name can be typed, and the ways to hide one."""

import base64
import gzip
import json
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.logins.throttle_keys import HIDDEN, folded, of_request, other_texts

NAMES = ("username", "email", "login", "user")
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
MULTIPART = (
    b'--x\r\nContent-Disposition: form-data; name="password"\r\n\r\npw\r\n'
    b'--x\r\nContent-Disposition: form-data; name="email"\r\n\r\nAlice@a.example\r\n--x--\r\n'
)


def read(
    body: bytes = b"",
    content_type: str = JSON,
    *,
    query: str = "",
    content_encoding: str = "",
    authorization: str = "",
) -> set[str]:
    return set(
        of_request(
            NAMES,
            query=query,
            content_type=content_type,
            content_encoding=content_encoding,
            authorization=authorization,
            body=body,
        )
    )


@pytest.mark.parametrize(
    ("body", "content_type", "account"),
    [
        (b'{"username": "alice", "password": "x"}', JSON, "alice"),
        (b'{"Email": " Alice@A.example "}', "text/plain", "alice@a.example"),
        (b'{"variables": {"input": {"login": "alice"}}}', JSON, "alice"),
        (b'{"username": ["alice"]}', JSON, "alice"),
        (b'{"username": "\\u0061lice"}', JSON, "alice"),
        (json.dumps({"user": "alice"}).encode("utf-16"), JSON, "alice"),
        (b"username=alice&password=x", FORM, "alice"),
        (b"username=a%6Cice", FORM, "alice"),
        (b"user%5Bemail%5D=alice", FORM, "alice"),
        (b"username=alice", "", "alice"),
        (MULTIPART, "multipart/form-data; boundary=x", "alice@a.example"),
    ],
)
def test_a_name_is_found_where_it_was_typed(body: bytes, content_type: str, account: str) -> None:
    """JSON however deep, forms of both kinds, and whatever the content type claims."""
    assert read(body, content_type) == {account}


def test_a_name_in_the_query_and_in_basic() -> None:
    """Some backends read these."""
    assert read(query="?username=alice") == {"alice"}
    basic = "Basic " + base64.b64encode(b"Alice:pw").decode()
    assert read(authorization=basic) == {"alice"}
    assert read(authorization="Basic \u00ff!") == {HIDDEN}


@pytest.mark.parametrize(
    "name", ["ALICE", " alice\n", "a\u200blice", "ａｌｉｃｅ", "álice", "a\u0301lice", "alice\0"]
)
def test_spellings_of_one_name_are_one_account(name: str) -> None:
    """What a backend may not tell apart, the counts do not."""
    assert folded(name) == "alice"


@pytest.mark.parametrize(
    ("name", "account"),
    [
        ("Alice@A.Example.", "alice@a.example"),
        ("al.ice+news@a.example", "alice@a.example"),
        ("CORP\\alice", "alice"),
        ("corp\\alice@a.example", "alice@a.example"),
        ("alice\0 whatever", "alice"),
        ("ŁUKASZ", "lukasz"),
        ("Straße", "strasse"),
        ("Σίσυφος", "σισυφοσ"),
        ("a.b", "a.b"),
        ("a+b", "a+b"),
        ("@home", "@home"),
    ],
)
def test_what_databases_and_mail_providers_do_not_tell_apart(name: str, account: str) -> None:
    """Collations, domains of a directory, and what a library drops of a mail address."""
    assert folded(name) == account
    assert folded(account) == account


@pytest.mark.parametrize(
    "name", ["user_name", "userName", "User-Name", "user name", "data[user_name]", "form.username"]
)
def test_spellings_of_a_members_name(name: str) -> None:
    """Whether its words are joined, and by what."""
    assert read(json.dumps({name: "alice"}).encode()) == {"alice"}
    assert read(urlencode({name: "alice"}).encode(), FORM) == {"alice"}


def graphql(text: str, **variables: object) -> bytes:
    return json.dumps({"query": text, "variables": variables}).encode()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (graphql('mutation { login(email: "alice", password: "x") { token } }'), JSON),
        (graphql('mutation{login(input:{email:"\\u0061lice",password:"x"}){token}}'), JSON),
        (b'[{"query": "{ login(email: \\"alice\\") { token } }"}]', JSON),
        (b'mutation { login(email: "alice") { token } }', "application/graphql"),
        (urlencode({"query": '{ login(email: "alice") { token } }'}).encode(), FORM),
        (urlencode({"query": "x", "variables": '{"email": "alice"}'}).encode(), FORM),
        (json.dumps({"query": "x", "variables": '{"email": "alice"}'}).encode(), JSON),
        (
            MULTIPART.replace(b"email", b"operations").replace(
                b"Alice@a.example", b'{"query": "x", "variables": {"email": "alice"}}'
            ),
            "multipart/form-data; boundary=x",
        ),
    ],
)
def test_a_name_in_graphql(body: bytes, content_type: str) -> None:
    """In the document or in the variables, in every way that servers take them in (GraphQL over
    HTTP §5, the GraphQL multipart request specification)."""
    assert read(body, content_type) == {"alice"}


def test_a_comment_in_graphql_hides_nothing() -> None:
    """Nor does what looks like one in a text."""
    assert read(graphql('{ login(email # "x"\n: "alice") { token } }', email="decoy")) == {
        "alice",
        "decoy",
    }
    assert "alice" in read(graphql('{ login(password: "#", email: "alice") { token } }'))


def test_definitions_of_variables_name_nothing() -> None:
    """A default value might: then it counts."""
    text = "mutation ($email: String!) { login(email: $email) { token } }"
    assert read(graphql(text, email="alice")) == {"alice"}
    assert read(graphql(text)) == {HIDDEN}


def test_the_other_texts_of_a_request() -> None:
    """Those that name no account, and numbers; none of a request that cannot be read."""

    def others(body: bytes, content_encoding: str = "") -> list[tuple[str, str]] | None:
        return other_texts(
            NAMES,
            query="?a_b=1",
            content_type=JSON,
            content_encoding=content_encoding,
            body=body,
        )

    body = b'{"user": {"email": "alice", "mfaToken": ["t"]}, "code": 123456, "x": true, "y": null}'
    assert others(body) == [
        ("ab", "1"),
        ("mfatoken", "t"),
        ("code", "123456"),
    ]
    assert others(body, "gzip") is None
    assert others(b"") == [("ab", "1")]


def test_every_name_counts() -> None:
    """A decoy beside the name that is meant, or the same name twice, hides nothing."""
    assert read(b'{"username": "decoy", "email": "alice"}') == {"decoy", "alice"}
    assert read(b'{"username": "decoy", "username": "alice"}') == {"decoy", "alice"}
    assert read(b"username=alice", FORM, query="?username=decoy") == {"decoy", "alice"}
    polyglot = b'{"username": "decoy", "x": "&username=alice&"}'
    assert read(polyglot, FORM) == {"decoy", "alice"}


@pytest.mark.parametrize(
    ("body", "content_type", "content_encoding"),
    [
        (b"{'username': 'alice'}", JSON, ""),
        (b'{"username": "alice"} // x', JSON, ""),
        (b'{"username": "alice",}', JSON, ""),
        (b"{'username': 'alice', 'x': '&y=z'}", "text/plain", ""),
        (b"<login><username>alice</username></login>", "text/xml", ""),
        (b"\x81\xa8username\xa5alice", "application/msgpack", ""),
        (b'{"username": 7}', JSON, ""),
        (b'{"username": {"$eq": "alice"}}', JSON, ""),
        (b'{"username": [{"a": "alice"}]}', JSON, ""),
        (b'{"username": "%b"}' % (b"x" * 9000), JSON, ""),
        (graphql('{ login(username: """alice""") { token } }'), JSON, ""),
        (gzip.compress(b'{"username": "alice"}', mtime=0), JSON, "gzip"),
        (b"username=+AGE-lice", f"{FORM}; charset=utf-8; charset=utf-7", ""),
    ],
)
def test_a_decoy_beside_what_cannot_be_read_hides_nothing(
    body: bytes, content_type: str, content_encoding: str
) -> None:
    """Readers that are lenient, or that know other formats, could find another name there."""
    decoys = {"query": "?username=decoy", "content_encoding": content_encoding}
    assert read(body, content_type, **decoys) >= {"decoy", HIDDEN}
    basic = "Basic " + base64.b64encode(b"decoy:pw").decode()
    assert read(body, content_type, authorization=basic) >= {"decoy", HIDDEN}


def test_a_body_that_can_be_read_and_names_nobody() -> None:
    """Where the name is in the query, or in Basic, it is the only one."""
    assert read(b'{"password": "x"}', query="?username=alice") == {"alice"}
    assert read(b"password=x", FORM, query="?username=alice") == {"alice"}
    assert read(b'{"user": {"email": "alice", "password": "x"}}') == {"alice"}


def test_fields_that_some_backends_part_by_semicolons() -> None:
    """Either reading counts."""
    assert read(b"username=decoy&x=1;username=alice", FORM) == {"decoy", "alice"}
    assert "alice" in read(b"username=alice;password=x", FORM)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"username": 7}',
        b'{"username": ""}',
        b'{"username": "  "}',
        b'{"password": "alice"}',
        b'{"username": "alice"',
        b"[" * 4000 + b"]" * 4000,
        b'{"username": "alice", "x": "%b"}' % (b"x" * 9000),
        b"&".join(b"username=%d" % number for number in range(9)),
    ],
)
def test_what_names_nobody_is_an_attempt_at_one_account(body: bytes) -> None:
    """Nothing, no text, no JSON, too much, too many."""
    assert read(body) == {HIDDEN}


def test_a_name_in_a_coding_or_an_odd_charset_is_hidden() -> None:
    """There, one name has many spellings."""
    assert read(gzip.compress(b'{"username": "alice"}'), content_encoding="gzip") == {HIDDEN}
    assert read(b"username=+AGE-lice", f"{FORM}; charset=utf-7") == {HIDDEN}
    assert read(b"username=alice", f"{FORM}; charset=UTF-8") == {"alice"}


@given(st.binary(max_size=200), st.text(max_size=40))
def test_whatever_comes_is_read(body: bytes, content_type: str) -> None:
    """No request to log in fails in here."""
    assert read(body, content_type)
    assert read(body, f"multipart/form-data; boundary={content_type}")
    assert read(MULTIPART + body, "multipart/form-data; boundary=x", query=f"?{content_type}")
