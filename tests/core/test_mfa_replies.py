"""Replies that ask for a second step: in so many words, around a token, and not just in passing."""

import json
from typing import Any

import pytest

from gateway.core.json_text import document
from gateway.core.logins.mfa import replies as mfa_replies
from gateway.core.logins.replies import Reply
from gateway.core.logins.reply_tokens import NoToken, find
from gateway.core.logins.token_places import Auto
from tests.conftest import token_of

TOKEN = token_of("alice")


def logs_in(body: Any) -> bool:
    try:
        return find(Reply(200, (), json.dumps(body).encode()), Auto()).token == TOKEN
    except NoToken:
        return False


ASKING: list[dict[str, Any]] = [
    {"mfa_required": True},
    {"mfaRequired": True},
    {"MFA_REQUIRED": 1},
    {"mfarequired": "true"},
    {"requires_mfa": True},
    {"requiresMFA": True},
    {"needs2FA": True},
    {"two_factor_required": "yes"},
    {"twoFactorAuthRequired": True},
    {"requires-two-factor": True},
    {"is_2fa_required": True},
    {"mfa": True},
    {"mfa": ["totp", "sms"]},
    {"mfa": {"required": True, "methods": ["totp"]}},
    {"mfa": {"challenge_id": "c1"}},
    {"2fa": "totp"},
    {"otp_required": True},
    {"otpSent": True},
    {"totp_required": True},
    {"challenge": "c1"},
    {"challenge": {"id": "c1", "type": "totp"}},
    {"challenges": [{"type": "sms"}]},
    {"ChallengeName": "SOFTWARE_TOKEN_MFA", "Session": "x"},
    {"mfa_token": "opaque"},
    {"mfaToken": TOKEN},
    {"stepUpRequired": True},
    {"verification_required": True},
    {"requiresVerification": True},
    {"needs_confirmation": True},
    {"status": "MFA_REQUIRED"},
    {"status": "mfa"},
    {"status": "two-factor"},
    {"status": "otp_pending"},
    {"loginStatus": "TwoFactorRequired"},
    {"state": "verification_required"},
    {"next_step": "totp"},
    {"nextAction": "verify-required"},
    {"next": "/login/2fa"},
    {"result": "CHALLENGE"},
    {"type": "mfa_challenge"},
    {"error": "mfa_required"},
    {"mfa_challenge": {"id": 1}},
    {"loginChallenge": "c1"},
    {"must_verify_otp": True},
    {"mfa_verified": False},
    {"otpVerified": False},
    {"isTwoFactorAuthenticated": False},
    {"code_sent": True},
    {"sms_code_required": True},
    {"requires_code": True},
    {"verificationCodeSent": True},
    {"webauthn_required": True},
    {"additional_verification_required": True},
    {"temporary": True},
    {"is_partial": True},
    {"pre_auth_session": True},
    {"token_type": "mfa"},
    {"tokenType": "pre_auth"},
    {"token_use": "password-reset"},
    {"purpose": "verify_email"},
    {"status": "TWOFACTOR"},
    {"status": "SMS_CODE_REQUIRED"},
    {"message": "Two factor authentication required"},
    {"msg": "OTP sent to your phone"},
]


@pytest.mark.parametrize("said", ASKING)
def test_what_asks_for_a_second_step_logs_nobody_in(said: dict[str, Any]) -> None:
    """Beside the token, around it, or around everything; whatever the token is called."""
    for body in (
        {**said, "token": TOKEN},
        {"access_token": TOKEN, **said},
        {**said, "data": {"login": {"token": TOKEN}}},
        {"data": {"login": {"token": TOKEN, **said}}},
        {"data": [{**said, "auth": {"jwt": TOKEN}}]},
        [{**said, "token": TOKEN}],
    ):
        assert not logs_in(body), body
    assert mfa_replies.any_asks(document(json.dumps({"a": [said]})))
    for body in ({**said, "user": {"id": 1}}, {"user": {"id": 1, **said}}):
        around = mfa_replies.objects_above(document(json.dumps(body)), ["user", "id"])
        assert any(map(mfa_replies.asks, around))


NOT_ASKING: list[dict[str, Any]] = [
    {"mfa_required": False},
    {"mfa_required": None},
    {"mfa_required": ""},
    {"mfa_required": 0},
    {"mfa_required": "false"},
    {"mfa_required": "no"},
    {"mfa_required": "0"},
    {"mfa": {"enabled": True, "methods": ["totp"]}},
    {"mfa": {"required": False, "token": None}},
    {"mfa": []},
    {"mfa": "passed"},
    {"mfa": "disabled"},
    {"mfa_enabled": True},
    {"two_factor_enabled": True},
    {"otp_secret": "x"},
    {"totp_verified_at": "2030-01-01"},
    {"mfa_verified": True},
    {"email_verified": False},
    {"email_verified_at": "2030-01-01"},
    {"verified": False},
    {"is_verified": False},
    {"status": "ok"},
    {"status": "active"},
    {"status": "verified"},
    {"status": "mfa_verified"},
    {"status": "mfa_not_required"},
    {"status": "pending"},
    {"status": 200},
    {"state": "confirmed"},
    {"type": "Bearer"},
    {"next": "/welcome"},
    {"code": 0},
    {"error": None},
    {"message": "your mfa is set up"},
    {"footprint": True},
    {"hotpot": True},
    {"steps": 5},
    {"temperature": 5},
    {"status": "mfa " * 20},
    {"message": "Your OTP was accepted"},
    {"message": "no MFA required"},
    {"message": "Login successful"},
    {"token_type": "Bearer"},
    {"token_use": "access"},
    {"temporary": False},
    {"pending": 2},
    {"mfa_verified": None},
    {"postal_code_required": True},
    {"code": 200},
    {"reset_required": False},
]


@pytest.mark.parametrize("said", NOT_ASKING, ids=json.dumps)
def test_what_only_speaks_of_one_does_not_ask(said: dict[str, Any]) -> None:
    """A setting of the user's, a step that is over, or another thing altogether."""
    for body in ({**said, "token": TOKEN}, {"data": {"login": {"token": TOKEN, **said}}}):
        assert logs_in(body), body
    assert not mfa_replies.any_asks(document(json.dumps({"a": [said]})))


@pytest.mark.parametrize("said", ASKING[:10], ids=json.dumps)
def test_what_is_asked_beside_is_of_something_else(said: dict[str, Any]) -> None:
    """A rule that a profile tells of, say, while its user is logged in."""
    for body in (
        {"token": TOKEN, "user": {"name": "alice", **said}},
        {"data": {"login": {"token": TOKEN}, "policy": [said]}},
    ):
        assert logs_in(body), body


@pytest.mark.parametrize(
    "text", ["5", '"mfa_required"', "[]", "{}", '["mfa"]', '{"mfa_required": [], "a": {"b": [[]]}}']
)
def test_any_document_can_be_asked(text: str) -> None:
    """Also one with nothing in it."""
    assert not mfa_replies.any_asks(document(text))
    assert not any(
        map(mfa_replies.asks, mfa_replies.objects_around(document(text), lambda _n, _t: True))
    )
    around = mfa_replies.objects_above(document(text), ["a", "b"])
    assert not any(map(mfa_replies.asks, around))


def test_of_a_name_that_stands_twice_each_counts() -> None:
    """Who reads the first one and who reads the last one would be told different things."""
    for flags in ('"mfa_required": true, "mfa_required": false', '"mfa": 0, "mfa": 1'):
        assert mfa_replies.any_asks(document(f"{{{flags}}}"))
