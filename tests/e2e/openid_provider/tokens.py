"""What the tokens say beside what they must."""

import time
import uuid

import jwt
from oauth2_provider.models import get_application_model
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.settings import oauth2_settings


class Validator(OAuth2Validator):
    """Adds the claims of the profile and of the address, and the session's name."""

    oidc_claim_scope = None

    def get_additional_claims(self, request):
        user = request.user
        named = {"name": user.get_full_name(), "email": user.email, "email_verified": True}
        return {**named, "sid": session_of(user)}


def session_of(user):
    """The session that a user has begun last; the toolkit tells `auth_time` in the same way."""
    return f"{user.pk} {user.last_login.isoformat()}"


def access_token(request, refresh_token=False):
    """A JWT as RFC 9068 has it: the toolkit's own are texts that only it can read."""
    now = int(time.time())
    claims = {
        "iss": oauth2_settings.oidc_issuer(request),
        "sub": str(request.user.pk),
        "aud": "https://api.example",
        "client_id": request.client.client_id,
        "scope": " ".join(request.scopes),
        "username": request.user.username,
        "iat": now,
        "exp": now + oauth2_settings.ACCESS_TOKEN_EXPIRE_SECONDS,
        "jti": str(uuid.uuid4()),
    }
    return sign(claims, "at+jwt")


def sign(claims, kind):
    """Signed with the key that signs ID tokens."""
    key = get_application_model()(algorithm="RS256").jwk_key
    headers = {"kid": key.thumbprint(), "typ": kind}
    return jwt.encode(claims, oauth2_settings.OIDC_RSA_PRIVATE_KEY, "RS256", headers)
