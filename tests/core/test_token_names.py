"""Which names are known for tokens, and which are words of others."""

import pytest

from gateway.core.logins import token_names


@pytest.mark.parametrize(
    "name",
    ["token", "Token", "access_token", "accessToken", "AccessToken", "access-token", "access",
     "jwt", "JWT", "id_token", "idToken", "key", "auth_token", "auth-token", "access_token_cookie",
     "x-access-token", "X-Auth-Token", "X-Token", "x-auth", "Authorization", "Authentication",
     "jwt-auth", "__Host-token", "__Secure-access_token", "bearerToken", "sessionToken",
     "fastapiusersauth", "session", "sid"],
)  # fmt: skip
def test_known_names(name: str) -> None:
    """However their words are joined."""
    assert token_names.rank(name) is not None


@pytest.mark.parametrize(
    "name",
    ["", "message", "user", "username", "name", "data", "next", "location", "csrf_token",
     "xsrf-token", "session_id", "refreshToken", "mfa_token", "temp_token",
     "refresh_token", "reset_token", "verification_token", "email_token", "tokenized",
     "token_type", "token2", "my token!", "tok", "xtoken2", "cookie", "x-", "__Host-"],
)  # fmt: skip
def test_unknown_names(name: str) -> None:
    """Whatever they may mean to a backend: config.yaml can name the place."""
    assert token_names.rank(name) is None


def test_the_likeliest_comes_first() -> None:
    """What is to be sent back is rather called a token than a key."""
    names = ["token", "access_token", "access", "id_token", "jwt", "key"]
    ranks = [token_names.rank(name) or 0 for name in names]
    assert ranks == sorted(set(ranks))


@pytest.mark.parametrize(
    "name",
    ["mfa", "MFA", "mfaToken", "mfa_token", "MFAToken", "verifyMFA", "2fa", "2FA", "2faToken",
     "login2FA", "otp", "totp", "challenge", "temp", "temporary_token", "reset", "passwordReset",
     "reset_password", "verify", "verifyEmail", "verification", "confirm", "invite", "partial",
     "preAuth", "pre_auth", "step", "step1", "nextStep", "pending", "magic_link", "csrf", "refresh",
     "refreshTokens", "error", "errors", "secondFactor"],
)  # fmt: skip
def test_names_of_other_tokens(name: str) -> None:
    """By one of their words, wherever it stands on the way."""
    assert token_names.is_for_other_purpose([name])
    assert token_names.is_for_other_purpose(["data", 0, name, "token"])


@pytest.mark.parametrize(
    "name",
    ["", "token", "verified_at", "isVerified", "temperature", "template", "stepan", "footstep2x",
     "confirmed", "refreshed_at", "prefix", "preview", "magician", "12", "login", "tokenAuth",
     "자료"],
)  # fmt: skip
def test_names_that_only_look_like_it(name: str) -> None:
    """Words are compared as a whole."""
    assert not token_names.is_for_other_purpose([name, "token", 0])
