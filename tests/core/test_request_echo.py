"""wire-rules.md#E15: echoes: no spelling hides in a request what a backend may repeat of it."""

import base64
import gzip
import json
import random
import zlib
from collections.abc import Callable
from urllib.parse import quote_from_bytes

import brotli
import jwt
import pytest

from gateway.core.logins import request_echo
from gateway.core.logins.request_echo import EchoDetector
from tests.support.signing import by_hand, payload, rsa_signer

KEY = "a secret of the tests, long enough to sign"
TOKEN = jwt.encode({"sub": "alice", "role": "admin"}, KEY)
HEADER, CLAIMS, SIGNATURE = TOKEN.split(".")


def detector(body: bytes | str = b"", query: str = "", /, **fields: str) -> EchoDetector:
    """What a client sent; `_` in a field's name stands for `-`."""
    named = [(name.replace("_", "-"), value) for name, value in fields.items()]
    return EchoDetector(query, named, body.encode() if isinstance(body, str) else body)


# How a text can be spelled.


def percent(text: str) -> str:
    return "".join(f"%{ord(character):02X}" for character in text)


def backslashes(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


def entities(text: str) -> str:
    return "".join(f"&#{ord(character)};" for character in text)


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def wide(text: str) -> str:
    return "".join(chr(ord(character) + 0xFEE0) for character in text)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "with a scheme": lambda text: f"Bearer {text}",
    "in capitals": str.upper,
    "in small letters": str.lower,
    "percent": percent,
    "percent, small": lambda text: percent(text).lower(),
    "percent, in part": lambda text: text.replace("J", "%4A").replace(".", "%2e"),
    "percent, twice": lambda text: percent(percent(text)),
    "percent, five times": lambda text: percent(text).replace("%", "%25252525"),
    "percent as in scripts": lambda text: "".join(f"%u{ord(character):04x}" for character in text),
    "JSON escapes": backslashes,
    "JSON in JSON": lambda text: json.dumps(backslashes(text))[1:-1],
    "escapes with braces": lambda text: "".join(f"\\u{{{ord(character):x}}}" for character in text),
    "bytes with backslashes": lambda text: "".join(
        f"\\x{ord(character):02x}" for character in text
    ),
    "entities": entities,
    "entities in hexadecimal": lambda text: "".join(
        f"&#X{ord(character):04x};" for character in text
    ),
    "entities without semicolon": lambda text: "".join(
        f"&#{ord(character)} " for character in text
    ),
    "entities of entities": lambda text: entities(text).replace("&", "&amp;amp;"),
    "named entities": lambda text: text.replace(".", "&period;").replace("_", "&lowbar;"),
    "base64": base64_of,
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode(),
    "base64 over lines": lambda text: base64.encodebytes(text.encode()).decode(),
    "base64 of base64": lambda text: base64_of(base64_of(text)),
    "base64 among others": lambda text: base64_of(f"\N{SNOWMAN}??>>:{text}:~"),
    "base64 behind a word": lambda text: f"user-{base64_of(text)}",
    "base64 of percent": lambda text: base64_of(percent(text)),
    "percent of base64": lambda text: percent(base64_of(text)),
    "base64 of JSON": lambda text: base64_of(json.dumps({"name": backslashes(text)})),
    "four steps": lambda text: percent(backslashes(entities(base64_of(text)))),
    "four other steps": lambda text: base64_of(entities(percent(backslashes(text)))),
    "wide characters": wide,
    "wide and percent": lambda text: quote_from_bytes(wide(text).encode()),
    "with accents": lambda text: text.replace("a", "a\N{COMBINING ACUTE ACCENT}"),
    "between spaces": " ".join,
    "between tags": lambda text: text.replace(".", "<b>.</b>").replace("J", "<i x='y'>J"),
    "in sections of XML": lambda text: text.replace("J", "J]]><![CDATA["),
    "between zeros": "\0".join,
    "between white space in JSON": lambda text: text.replace("J", "J\\n\\t"),
    "in quotes": lambda text: f"\"'{text}'\"",
    "glued to others": lambda text: f"user_{text}-x",
}


@pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_no_spelling_hides_a_token(spelled: Callable[[str], str]) -> None:
    """In a body of any kind, in the query, in a field and in a cookie."""
    text = spelled(TOKEN)
    for sent in (
        detector(json.dumps({"a": [{"username": text}], "password": "x"})),
        detector(json.dumps({text: 1})),
        detector(f'{{"username": "{text}"}}'),
        detector(f"username={text}&password=x"),
        detector(f'--x\r\nContent-Disposition: form-data; name="u"\r\n\r\n{text}\r\n--x--\r\n'),
        detector(f"<login><name>{text}</name></login>"),
        detector(text),
        detector(b"\x00\x05" + text.encode() + b"\xff"),
        detector(b"", f"?name={text}"),
        detector(b"", f"/{text}"),
        detector(X_Name=text),
        detector(Cookie=f"theme=dark; name={text}"),
        EchoDetector("", [(text, "1")], b""),
    ):
        assert sent.is_echo(TOKEN)


def test_a_token_in_basic_credentials() -> None:
    """RFC 7617: a name that is a token, and so is a password."""
    for pair in (f"{TOKEN}:x", f"x:{TOKEN}"):
        assert detector(Authorization=f"Basic {base64_of(pair)}").is_echo(TOKEN)


@pytest.mark.parametrize(
    "charset", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "utf-7", "cp037"]
)
@pytest.mark.parametrize("spelled", [str, backslashes, percent, wide], ids=lambda way: way.__name__)
def test_no_charset_hides_a_token(charset: str, spelled: Callable[[str], str]) -> None:
    """Whether it is declared, or told by its bytes; EBCDIC and UTF-7 have to be declared."""
    if spelled is wide and charset == "cp037":
        return  # it has none
    body = json.dumps({"username": spelled(TOKEN)}, ensure_ascii=False).encode(charset)
    declared = detector(body, Content_Type=f'application/json; charset="{charset}"')
    assert declared.is_echo(TOKEN)
    if charset.startswith("utf-") and charset != "utf-7":
        assert detector(body).is_echo(TOKEN)


def test_a_form_in_another_charset() -> None:
    """What is percent-encoded may be bytes of the declared charset, which ASCII does not show."""
    body = b"username=" + quote_from_bytes(TOKEN.encode("cp037"), safe="").encode()
    form = "application/x-www-form-urlencoded"
    assert detector(body, Content_Type=f"{form}; charset=ibm037").is_echo(TOKEN)
    assert detector(body + b"&_charset_=cp037").is_echo(TOKEN)
    assert detector(body + b"&charset=cp037").is_echo(TOKEN)
    part = b"--x\r\nContent-Type: text/plain; charset=cp037\r\n\r\n%b\r\n--x--"
    assert detector(part % TOKEN.encode("cp037")).is_echo(TOKEN)


def test_a_part_in_quoted_printable() -> None:
    """RFC 2045 §6.7, as parts of forms may be."""
    printable = "".join(
        f"={ord(character):02X}" + "=\r\n" * (at % 20 == 0) for at, character in enumerate(TOKEN)
    )
    part = f"--x\r\nContent-Transfer-Encoding: Quoted-Printable\r\n\r\n{printable}\r\n--x--"
    assert detector(part).is_echo(TOKEN)
    word = "".join(f"={ord(character):02X}" for character in TOKEN)
    assert detector(X_Name=f"=?utf-8?Q?{word}?=").is_echo(TOKEN)
    assert detector(X_Name=f"=?utf-8?B?{base64_of(TOKEN)}?=").is_echo(TOKEN)


PACKED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "gzip by its old name": ("X-GZIP", gzip.compress),
    "members of gzip": ("gzip", lambda body: gzip.compress(body[:9]) + gzip.compress(body[9:])),
    "deflate": ("deflate", zlib.compress),
    "deflate without a frame": ("deflate", lambda body: zlib.compress(body)[2:-4]),
    "br": ("br", brotli.compress),
    "one in another": ("gzip, br", lambda body: brotli.compress(gzip.compress(body))),
    "cut off": ("gzip", lambda body: gzip.compress(body)[:-8]),
    "none after all": ("identity", bytes),
    "of several, one empty": (" , gzip,", gzip.compress),
}


@pytest.mark.parametrize(("packing", "pack"), PACKED.values(), ids=PACKED.keys())
def test_no_packing_hides_a_token(packing: str, pack: Callable[[bytes], bytes]) -> None:
    """RFC 9110 §8.4; and a backend that unpacks nothing may repeat the bytes."""
    body = json.dumps({"username": percent(TOKEN)}).encode()
    assert detector(pack(body), Content_Encoding=packing).is_echo(TOKEN)
    other = pack(b'{"username": "alice"}')
    assert not detector(other, Content_Encoding=packing).is_echo(TOKEN)
    assert detector(body, Content_Encoding="identity").is_echo(TOKEN)


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"packed somehow", {"Content_Encoding": "zstd"}),
        (b"packed somehow", {"Content_Encoding": "gzip, x-secret"}),
        (b"no gzip", {"Content_Encoding": "gzip"}),
        (gzip.compress(b"x") + b"more", {"Content_Encoding": "gzip"}),
        (b"no deflate", {"Content_Encoding": "deflate"}),
        (b"no brotli", {"Content_Encoding": "br"}),
        (gzip.compress(bytes(2**22)), {"Content_Encoding": "gzip"}),
        (brotli.compress(bytes(2**22)), {"Content_Encoding": "br"}),
        (gzip.compress(b"x") * 50, {"Content_Encoding": "gzip"}),
        ("n\u00e4me".encode("latin-1"), {"Content_Type": "text/plain; charset=klingon"}),
        (b"charset=cp037 charset=cp500 charset=cp273 charset=cp424 charset=cp1026", {}),
        (b"x" * 17 * 2**20, {}),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
def test_what_cannot_be_read_may_hold_everything(body: bytes, fields: dict[str, str]) -> None:
    """A token is believed only where it is certain that the client has not sent it."""
    assert detector(body, **fields).is_echo(TOKEN)


def test_a_part_of_a_token_is_enough() -> None:
    """A backend may glue typed fields together, or put something of its own behind one."""
    middle = len(CLAIMS) // 2
    for parts in (
        [HEADER, CLAIMS, SIGNATURE],
        [HEADER, CLAIMS],
        [CLAIMS],
        [SIGNATURE],
        [f"{HEADER}.{CLAIMS[:middle]}", f"{CLAIMS[middle:]}.{SIGNATURE}"],
        [f"{HEADER}.{CLAIMS}.{SIGNATURE[:20]}", SIGNATURE[20:]],
        [f"{HEADER}.{CLAIMS[:9]}", CLAIMS[9:20], CLAIMS[20:], f".{SIGNATURE}"],
    ):
        names = {f"part{at}": part for at, part in enumerate(parts)}
        assert detector(json.dumps(names)).is_echo(TOKEN), names
    short = by_hand({"alg": "HS256"}, payload(), b"x")
    claims = short.split(".")[1]
    typed = [short[: -len(claims) // 2], short[-len(claims) // 2 :]]
    assert detector(json.dumps(typed)).is_echo(short)


def test_a_part_of_a_small_token_is_enough() -> None:
    """A backend that signs what was typed makes the end of a token, which was not typed."""
    for claims in ({"id": 1}, {"sub": 1}, {"sub": "alice"}):
        token = by_hand({"alg": "HS256"}, claims, b"a signature of the backend's own")
        typed = token.rpartition(".")[0]
        assert detector(json.dumps({"username": typed})).is_echo(token)
    nothing = by_hand({"alg": "HS256"}, {}, b"a signature of the backend's own")
    assert not detector(json.dumps({"username": "e30"})).is_echo(nothing)


def test_another_token_is_no_echo() -> None:
    """A client may well send one of the same user, of the same issuer or by the same key."""
    sent = [
        jwt.encode({"sub": "alice", "role": "user"}, KEY),
        jwt.encode({"sub": "alice", "role": "admin", "n": 1}, KEY),
        jwt.encode({"role": "admin", "sub": "alice"}, KEY),
        rsa_signer().token(),
        HEADER,
    ]
    request = detector(json.dumps({"tokens": sent}), Cookie=f"old={sent[0]}")
    assert not request.is_echo(TOKEN)
    assert not request.is_echo(rsa_signer().token(n=1))
    assert all(request.is_echo(token) for token in sent[:4])


def test_a_plain_request_is_no_echo() -> None:
    """Of a login as all are, and of one with nothing in it."""
    assert not detector().is_echo(TOKEN)
    assert not detector(
        '{"username": "alice", "password": "wonderland", "role": "admin"}',
        "?next=%2Fa%20b",
        Content_Type="application/json; charset=utf-8",
        Content_Encoding="",
        Cookie="theme=dark; _ga=GA1.2.1234567890.1234567890",
        Authorization=f"Basic {base64_of('alice:wonderland')}",
        User_Agent="Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
    ).is_echo(TOKEN)
    assert not detector(bytes(range(256)) * 100).is_echo(TOKEN)
    for charset in ("euc-kr", "KOI8-U", "windows-1251", "Shift_JIS", "cp874", "utf-8-sig"):
        body = "username=\u00b0".encode(charset, "xmlcharrefreplace")
        assert not detector(body + b"\xff", Content_Type=f"text/plain; charset={charset}").is_echo(
            TOKEN
        )
    assert not detector(b"charset=klingon").is_echo(TOKEN)


@pytest.mark.parametrize("secret", ["opaque-refresh", "a/b+c=d~e|f", "R9kXw"])
def test_an_opaque_token_may_be_an_echo_too(secret: str) -> None:
    """Refresh tokens are often opaque, and are asked about as a whole."""
    assert detector(json.dumps({"refresh": backslashes(secret)})).is_echo(secret)
    assert not detector('{"username": "alice"}').is_echo(secret)


@pytest.mark.parametrize(
    "piece",
    ["%", "%25", "\\", "\\u{0", '\\"', "&amp;", "&#0", "<", "<a", "charset ", "=?=65", "a\n", "ab ",
     "\u0315" * 100 + "\u0300", "\ufdfa", "\0", "-_", "A", "abcdefghijklmno ", "%u00", 'name="_'],
)  # fmt: skip
def test_no_request_takes_long(piece: str) -> None:
    """Each of these takes minutes where reading is quadratic; here it is done at once."""
    body = (piece * 2**18)[: 2**18].encode()
    detector(body, (piece * 2**12), X=piece * 2**12).is_echo(TOKEN)


def test_a_photo_beside_a_login() -> None:
    """What is no text can spell nothing, and takes no longer than its size; what is text, can."""
    photo = random.Random(1).randbytes(5 * 2**16)
    parts = b"--x\r\n\r\n%b\r\n--x\r\n\r\n%b\r\n--x--"
    typed = percent(backslashes(TOKEN)).encode()
    assert not detector(parts % (photo, b"alice")).is_echo(TOKEN)
    assert detector(parts % (photo, typed)).is_echo(TOKEN)
    in_json = json.dumps({"photo": base64.b64encode(photo).decode(), "name": "alice"})
    assert not detector(in_json).is_echo(TOKEN)
    assert detector(in_json.replace("alice", entities(TOKEN))).is_echo(TOKEN)


def test_what_is_large_is_known_to_be() -> None:
    """Then it is better read beside the event loop; what is packed may be large."""
    assert not detector(b"x" * request_echo.MAX_SMALL).is_large
    assert detector(b"x" * (request_echo.MAX_SMALL + 1)).is_large
    assert detector(gzip.compress(b"x"), Content_Encoding="gzip").is_large
    assert not detector(b"", Content_Encoding="gzip").is_large


# Names that clients give.

ALIASES = [
    "{ login { token: bio } }",
    "{ login { token:bio } }",
    "{ login { token :\n bio } }",
    "{ login { token ,:, bio } }",
    "{ login { token # a comment\n : bio } }",
    "{ login { token : # a comment\n bio } }",
    "{ login { ...f } } fragment f on User { token: bio }",
    "mutation ($token: String) { login(token: $token) { id token: bio } }",
    '{"a": {"sha256Hash": "abc"}}',
]


@pytest.mark.parametrize("document", ALIASES)
def test_a_name_that_the_client_gives_to_another_field(document: str) -> None:
    """By an alias of GraphQL, or by a document that was sent before, however that is sent."""
    query = json.dumps({"query": document})
    for sent in (
        detector(query, Content_Type="application/json"),
        detector(json.dumps({"query": "QUERY"}).replace("QUERY", backslashes(document))),
        detector(document, Content_Type="application/graphql"),
        detector(b"", f"?query={percent(document)}"),
        detector(f"query={document.replace(' ', '+')}"),
        detector(f'--x\r\nContent-Disposition: form-data; name="o"\r\n\r\n{query}\r\n--x--'),
        detector(gzip.compress(query.encode()), Content_Encoding="gzip"),
    ):
        assert sent.may_name("token")
    assert detector(query, Content_Encoding="zstd").may_name("user"), "it cannot be read"


@pytest.mark.parametrize(
    "document",
    [
        "{ login { token } }",
        "mutation { login(name: $n, password: $p) { token user { id } } }",
        "mutation ($token: String!) { verify(token: $token) { token } }",
        'mutation { verify(token: "abc", step: 2) { token } }',
        "{ login { mytoken: bio token } }",
        "{ login { token2: bio token } }",
        "token",
    ],
)
def test_a_name_that_the_client_only_asks_for(document: str) -> None:
    """As a field, an argument or a variable."""
    sent = detector(json.dumps({"query": document}), Token="abc", Content_Type="application/json")
    assert not sent.may_name("token")
