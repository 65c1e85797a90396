"""What a token says of its subject and its end."""

import base64
import json
import time

import jwt
import pytest

from gateway.core.tokens.claims import BadToken, Claims, NotAJwt, read_claims
from tests.support.signing import by_hand

NOW = 1_700_000_000.0
KEY = "a secret of the tests, long enough to sign"


def token(payload: str) -> str:
    """A JWT whose payload is written by hand."""
    body = base64.urlsafe_b64encode(payload.encode()).rstrip(b"=").decode()
    return f"eyJhbGciOiJIUzI1NiJ9.{body}.c2ln"


def test_claims_and_expiry_are_read_without_a_key() -> None:
    """The gateway has no key of the backend's, so it reads and does not verify."""
    claims = read_claims(jwt.encode({"sub": "alice", "exp": int(NOW) + 60}, KEY), NOW)
    assert claims == Claims({"sub": "alice", "exp": int(NOW) + 60}, NOW + 60)


def test_a_token_without_expiry_has_none() -> None:
    """Then the session's own limits are the only ones."""
    assert read_claims(token('{"sub": "alice"}'), NOW).expires is None
    assert read_claims(token('{"sub": "alice", "exp": null}'), NOW).expires is None


def test_an_algorithm_that_nobody_knows_is_no_matter() -> None:
    """Which algorithm signs is between the backend and itself."""
    header = base64.urlsafe_b64encode(b'{"alg": "XY999", "typ": "JWT"}').rstrip(b"=").decode()
    assert read_claims(f"{header}.{token('{}').split('.')[1]}.c2ln", NOW).payload == {}


@pytest.mark.parametrize("exp", ["1700000060.5", "1700000060", "1.7e12"])
def test_an_expiry_may_be_any_number(exp: str) -> None:
    """RFC 7519 §2: a NumericDate may have a fraction."""
    assert read_claims(token(f'{{"exp": {exp}}}'), NOW).expires == float(exp)


def test_a_far_future_is_far_and_no_fault() -> None:
    """An expiry of more digits than a float holds is as good as none."""
    assert read_claims(token(f'{{"exp": 1{"0" * 400}}}'), NOW).expires == float(2**53)


@pytest.mark.parametrize(
    "exp",
    ['"1700000060"', "true", "[]", "{}", "NaN", "Infinity", "-Infinity", '"tomorrow"', '""'],
)
def test_an_expiry_that_is_no_number_is_refused(exp: str) -> None:
    """The end of such a token is not known, so it makes no session."""
    with pytest.raises(BadToken, match="exp_is_no_number"):
        read_claims(token(f'{{"exp": {exp}}}'), NOW)


@pytest.mark.parametrize("exp", ["1699999999", "1700000000", "0", "-1", "1699999999.9"])
def test_an_expired_token_is_refused(exp: str) -> None:
    """RFC 7519 §4.1.4: not to be accepted on or after its expiry."""
    with pytest.raises(BadToken, match="expired"):
        read_claims(token(f'{{"exp": {exp}}}'), NOW)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "a.b.c",
        "..",
        token("[]"),
        token('"text"'),
        token("{"),
        token("[" * 100_000),
        "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..aXY.Y2lwaGVy.dGFn",
    ],
)
def test_what_is_no_jwt_is_refused(text: str) -> None:
    """Whatever stands there, the answer is one error and not a crash."""
    with pytest.raises(NotAJwt):
        read_claims(text, NOW)


@pytest.mark.parametrize("algorithm", ["none", "None", "none ", "", None, 0])
def test_an_unsigned_token_is_none(algorithm: object) -> None:
    """Whatever is configured: such a token could be written by the one who shows it."""
    claims = {"sub": "alice"}
    for signature in (b"", b"signature"):
        with pytest.raises(NotAJwt, match="unsigned"):
            read_claims(by_hand({"alg": algorithm}, claims, signature), NOW)
    with pytest.raises(NotAJwt, match="unsigned"):
        read_claims(by_hand({"alg": "HS256"}, claims, b""), NOW)


def test_an_error_says_nothing_of_the_token() -> None:
    """The reason may be logged, so it holds nothing of the token."""
    expired = jwt.encode({"sub": "alice-in-secret", "exp": 1}, KEY)
    with pytest.raises(BadToken) as caught:
        read_claims(expired, time.time())
    assert str(caught.value) == "expired"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("payload", "subject"),
    [
        ({"sub": "alice", "user_id": 7}, "alice"),
        ({"user_id": 7}, "7"),
        ({"sub": None, "user_id": 7}, "7"),
        ({"sub": "", "user_id": "u"}, "u"),
        ({"sub": True, "user_id": "u"}, "u"),
        ({"sub": ["a"], "user_id": {"b": 1}}, None),
        ({"sub": "a\nb", "user_id": "u"}, "u"),
        ({"sub": "\ud800", "user_id": "u"}, "u"),
        ({"sub": "엘리스"}, "엘리스"),
        ({"sub": 0}, "0"),
        ({}, None),
    ],
)
def test_the_subject_is_the_first_usable_claim(
    payload: dict[str, object], subject: str | None
) -> None:
    """The claims of config.yaml are tried in their order; a text or a number is a name."""
    assert Claims(json.loads(json.dumps(payload)), None).subject(("sub", "user_id")) == subject
