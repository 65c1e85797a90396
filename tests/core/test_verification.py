"""Which tokens are believed. Each attack that RFC 8725 knows of is refused, with its own reason."""

import base64
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.secret import Secret
from gateway.core.tokens.claims import NotVerified
from gateway.core.tokens.verification import Rules, UnknownKey, verify
from gateway.core.tokens.verifying_keys import VerifyingKey, of_pem, of_secret, read_key_set
from tests.support.signing import (
    SECRET,
    Signer,
    by_hand,
    ec_signer,
    ed_signer,
    hs256,
    payload,
    published,
    rsa_signer,
)

NOW = 1_700_000_000.0
LATER = int(NOW) + 3600
RSA, EC, ED = rsa_signer(), ec_signer(), ed_signer()
SET = read_key_set(published(RSA, EC, ED))


def refused(
    token: str, keys: Any = SET, rules: Rules | None = None, now: float | None = None
) -> str:
    """Why a token is not believed."""
    with pytest.raises(NotVerified) as caught:
        verify(token, keys, rules or Rules(), time.time() if now is None else now)
    assert caught.value.__cause__ is None
    return str(caught.value)


# What is believed.


@pytest.mark.parametrize("signer", [RSA, EC, ED, ec_signer("p521", "ES512")])
def test_who_has_the_key_is_believed(signer: Signer) -> None:
    """By the one public key of config.yaml, or by the one of that name in a set."""
    token = signer.token(role="admin")
    for keys in ([of_pem(signer.pem)], read_key_set(published(rsa_signer("other"), signer))):
        claims = verify(token, keys, Rules(), time.time())
        assert (claims.payload["sub"], claims.payload["role"]) == ("alice", "admin")
        assert claims.expires == claims.payload["exp"]


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_who_has_the_secret_is_believed(algorithm: str) -> None:
    """HS256 without being listed, the others if they are."""
    token = jwt.encode(payload(), SECRET, algorithm)
    key = of_secret(Secret(SECRET))
    assert verify(token, [key], Rules(algorithms=(algorithm,)), time.time()).payload["sub"]
    if algorithm != "HS256":
        assert refused(token, [key]) == "algorithm"


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256", "PS384", "PS512"])
def test_other_algorithms_of_a_key_are_to_be_listed(algorithm: str) -> None:
    """A key is for its usual one; a token cannot choose another by itself."""
    signer = Signer(RSA.key, algorithm, "rsa")
    assert refused(signer.token()) == "algorithm"
    assert refused(signer.token(), rules=Rules(algorithms=("RS256",))) == "algorithm"
    verify(signer.token(), SET, Rules(algorithms=("RS256", algorithm)), time.time())


def test_a_name_is_not_needed_where_there_is_no_choice() -> None:
    """RFC 7515 §4.1.4: `kid` is a hint."""
    token = EC.token({"kid": None})
    verify(token, SET, Rules(), time.time())
    assert refused(token, read_key_set(published(EC, ec_signer("next")))) == "ambiguous_kid"


def test_a_set_in_which_keys_share_a_name() -> None:
    """A provider may name an RSA and an EC key alike; two keys of one type are refused."""
    pair = read_key_set(published({**RSA.jwk, "kid": "one"}, {**EC.jwk, "kid": "one"}))
    verify(EC.token({"kid": "one"}), pair, Rules(), time.time())
    twins = read_key_set(
        published({**RSA.jwk, "kid": "one"}, {**rsa_signer("b").jwk, "kid": "one"})
    )
    assert refused(RSA.token({"kid": "one"}), twins) == "ambiguous_kid"


# What is not.


@pytest.mark.parametrize("text", [RSA.pem, RSA.pem.strip(), json.dumps(RSA.jwk)])
def test_algorithm_confusion(text: str) -> None:
    """RFC 8725 §2.1: HS256 with the public key, which is known, as the secret."""
    forged = hs256(text, payload(), {"alg": "HS256", "kid": "rsa"})
    assert refused(forged) == "algorithm"
    assert refused(forged, [of_pem(RSA.pem)]) == "algorithm"
    assert refused(forged, [of_pem(RSA.pem)], Rules(algorithms=("HS256", "RS256"))) == "algorithm"


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", "", None, 0, True, [], {}])
def test_no_algorithm(algorithm: Any) -> None:
    """RFC 8725 §3.2: unsigned tokens are refused, however `none` is spelled."""
    for signature in (b"", b"signature"):
        forged = by_hand({"alg": algorithm, "kid": "rsa"}, payload(), signature)
        assert refused(forged) == "algorithm"
    assert refused(by_hand({"typ": "JWT", "kid": "rsa"}, payload())) == "algorithm"


def test_a_header_that_names_two_algorithms() -> None:
    """Who reads the first one and who reads the last one would verify different things."""
    header = base64.urlsafe_b64encode(b'{"alg":"none","alg":"HS256"}').rstrip(b"=").decode()
    unsigned = f"{header}.{by_hand({}, payload()).split('.')[1]}"
    signature = hmac.digest(SECRET.encode(), unsigned.encode(), "sha256")
    token = f"{unsigned}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    assert refused(token, [of_secret(Secret(SECRET))]) == "unsigned"


def test_an_algorithm_of_another_key() -> None:
    """Each key has its own, whatever the others in the set are for."""
    assert refused(EC.token({"kid": "rsa"})) == "algorithm"
    assert refused(RSA.token({"kid": "ed"})) == "algorithm"


def test_a_key_that_nobody_has_published() -> None:
    """It may be a new one, so the fetcher of keys is told."""
    with pytest.raises(UnknownKey, match="unknown_kid"):
        verify(rsa_signer("new").token(), SET, Rules(), time.time())
    with pytest.raises(UnknownKey, match="unknown_kid"):
        verify(RSA.token({"kid": None}), [], Rules(), time.time())


def test_a_signature_of_another_key() -> None:
    """It may be a new one, too: some providers name it like the old one, or not at all."""
    for headers in ({}, {"kid": None}):
        with pytest.raises(UnknownKey, match="signature"):
            verify(rsa_signer("rsa", 3072).token(headers), SET[:1], Rules(), time.time())


@pytest.mark.parametrize(
    "kid", [5, True, ["rsa"], {}, "../../dev/null", "' OR 1=1", "rsa\0", "RSA", ""]
)
def test_a_name_that_is_none(kid: Any) -> None:
    """It is compared, and never looked up anywhere."""
    header = {"alg": "RS256", "kid": kid}
    assert refused(by_hand(header, payload())) == "unknown_kid"


@pytest.mark.parametrize(
    "crit", [["b64"], ["exp"], [], "exp", None, ["http://example.com/UNDEFINED"]]
)
def test_extensions_that_must_be_understood(crit: Any) -> None:
    """RFC 7515 §4.1.11: we understand none, so a token that asks for one is refused."""
    forged = by_hand({"alg": "RS256", "kid": "rsa", "crit": crit, "b64": True}, payload())
    assert refused(forged) == "crit"


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c"])
def test_a_token_that_brings_its_key_or_points_at_it(name: str) -> None:
    """RFC 8725 §3.10: it is refused, even if it is signed by the right key."""
    mallory = rsa_signer("mallory")
    value: Any = {
        "jwk": mallory.jwk,
        "x5c": ["MIIB"],
        "jku": "http://127.0.0.1:1/keys",
        "x5u": "http://127.0.0.1:1/certificate",
    }[name]
    for signer, kid in ((mallory, "rsa"), (mallory, None), (RSA, "rsa")):
        assert refused(signer.token({"kid": kid, name: value})) == "brings_its_key"


def test_a_signature_of_somebody_else() -> None:
    """By another key of the same name, over other claims, cut off, or none at all."""
    token = RSA.token()
    head, claims, signature = token.split(".")
    assert refused(rsa_signer("mallory").token({"kid": "rsa"})) == "signature"
    other = RSA.token(sub="bob").split(".")
    assert refused(f"{head}.{other[1]}.{signature}") == "signature"
    assert refused(f"{head}.{claims}.{signature[:-6]}") == "signature"
    assert refused(f"{head}.{claims}.") == "signature"
    assert refused(jwt.encode(payload(), SECRET[::-1]), [of_secret(Secret(SECRET))]) == "signature"


def test_short_keys_are_refused_by_pyjwt_as_well() -> None:
    """`enforce_minimum_key_length` is on, should one get past our own look at it."""
    weak = VerifyingKey(b"short", ("HS256",))
    forged = hs256("short", payload(), {"alg": "HS256"})
    assert refused(forged, [weak]) == "weak_key"
    short = rsa_signer("short", 1024)
    small = VerifyingKey(short.key.public_key(), ("RS256",))
    assert refused(by_hand({"alg": "RS256"}, payload()), [small]) == "weak_key"


# By name: a test is not named by its text, for tokens change with the clock.
NO_SIGNED_TOKEN = {
    "nothing": "",
    "a letter": "x",
    "full stops": "..",
    "no JSON": "a.b.c",
    "five parts": "a.b.c.d.e",
    "no signature": RSA.token().rpartition(".")[0],
    "four parts": RSA.token() + ".x",
    "a foreign letter": RSA.token() + "!",
    "an empty part": RSA.token().replace(".", "..", 1),
    "a list as header": by_hand(["alg"], payload()),  # type: ignore[arg-type]
    "an unencoded payload": by_hand({"alg": "RS256", "kid": "rsa", "b64": False}, payload()),
    "an encrypted one": "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..aXY.Y2lwaGVy.dGFn",
    "no text": "\udcff.\udcff.\udcff",
}


@pytest.mark.parametrize("text", NO_SIGNED_TOKEN.values(), ids=NO_SIGNED_TOKEN)
def test_what_is_no_signed_token(text: str) -> None:
    """Whatever stands there, the answer is one error and not a crash."""
    assert refused(text) in ("not_a_jwt", "algorithm")


@pytest.mark.parametrize("claims", [[], "text", None, 5])
def test_claims_that_are_no_object(claims: Any) -> None:
    """Even from whom we trust."""
    header = {"alg": "HS256"}
    assert refused(hs256(SECRET, claims, header), [of_secret(Secret(SECRET))]) == "not_a_jwt"


def test_huge_tokens_are_not_looked_at() -> None:
    """What it costs to refuse one must not grow with it."""
    assert refused(RSA.token(pad="x" * 16_384)) == "too_long"
    assert refused("x" * 10_000_000) == "too_long"
    verify(RSA.token(pad="x" * 8_000), SET, Rules(), time.time())


# For whom, and by whom.


@pytest.mark.parametrize(
    "issuer", [None, "https://evil.example", "https://id.example/", 5, [], True]
)
def test_a_wrong_issuer(issuer: Any) -> None:
    """Compared to the letter (RFC 7519 §4.1.1)."""
    rules = Rules(issuers=("https://id.example", "https://old.example"))
    token = hs256(SECRET, {**payload(), "iss": issuer}, {"alg": "HS256"})
    assert refused(token, [of_secret(Secret(SECRET))], rules) == "wrong_issuer"
    verify(RSA.token(iss="https://old.example"), SET, rules, time.time())


@pytest.mark.parametrize("audience", [None, "", "other", ["other"], [], {"shop": 1}, 5, [["shop"]]])
def test_a_wrong_audience(audience: Any) -> None:
    """RFC 7519 §4.1.3: one of those that are named must be ours."""
    rules = Rules(audiences=("shop", "https://shop.example"))
    assert refused(RSA.token(aud=audience), rules=rules) == "wrong_audience"
    for named in ("shop", ["other", "shop"], ["https://shop.example"]):
        verify(RSA.token(aud=named), SET, rules, time.time())


def test_a_token_for_somebody_when_nobody_is_configured() -> None:
    """RFC 7519 §4.1.3: a recipient that is not in its audience must refuse it."""
    assert refused(RSA.token(aud="shop")) == "wrong_audience"


# When.


@pytest.mark.parametrize("exp", [NOW, NOW - 1, 0, -1, NOW - 0.5])
def test_an_expired_token(exp: float) -> None:
    """Not on or after its expiry, but for what clocks may differ."""
    assert refused(RSA.token(exp=exp), now=NOW) == "expired"
    if exp > NOW - 4:
        verify(RSA.token(exp=exp), SET, Rules(leeway=5), NOW)
    assert refused(RSA.token(exp=NOW - 5), rules=Rules(leeway=5), now=NOW) == "expired"


@pytest.mark.parametrize("name", ["nbf", "iat"])
def test_a_token_that_is_not_yet_valid(name: str) -> None:
    """RFC 7519 §4.1.5; and one that was issued in the future is by a clock that is wrong."""
    token = RSA.token(**{name: NOW + 10, "exp": LATER})
    assert refused(token, now=NOW) == "not_yet_valid"
    verify(token, SET, Rules(leeway=10), NOW)
    verify(token, SET, Rules(), NOW + 10)


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", ['"1700000060"', "true", "[]", "{}", "NaN", "Infinity", '""'])
def test_a_time_that_is_no_number(name: str, value: str) -> None:
    """Such a time is no time."""
    claims = {"exp": LATER, name: json.loads(value)}
    token = hs256(SECRET, claims, {"alg": "HS256"})
    assert refused(token, [of_secret(Secret(SECRET))], now=NOW) == f"{name}_is_no_number"


def test_a_far_future_is_far_and_no_fault() -> None:
    """The session's own limits end it; an expiry beyond what a float holds is as good as none."""
    assert verify(RSA.token(exp=10**30), SET, Rules(), NOW).expires == float(2**53)


def test_a_token_without_expiry() -> None:
    """Good for as long as the session may last, unless config.yaml asks for one."""
    token = RSA.token(exp=None)
    assert verify(token, SET, Rules(), NOW).expires is None
    assert refused(token, rules=Rules(needs_expiry=True)) == "no_expiry"


def test_an_error_says_nothing_of_the_token() -> None:
    """The reason may be logged, so it holds nothing of the token."""
    token = RSA.token(sub="alice-in-secret", exp=1)
    assert refused(token) == "expired"


@given(st.text(), st.integers(0, 2), st.integers(0, 2000))
def test_no_change_of_a_token_is_believed(text: str, part: int, at: int) -> None:
    """Any edit of any part is refused, and nothing else is ever raised."""
    parts = EC.token().split(".")
    changed = parts[part][: at % len(parts[part])] + text + parts[part][at % len(parts[part]) + 1 :]
    if changed.rstrip("=") == parts[part]:
        return
    parts[part] = changed
    with pytest.raises(NotVerified):
        verify(".".join(parts), SET, Rules(), time.time())
