"""`token: auto` finds the token in the ordinary replies of the frameworks that people use."""

import json
from typing import Any

from aiohttp import web

from tests.conftest import token_of
from tests.support.endpoints import BODY, World, answer

TOKEN = token_of("alice", token_use="access")
ID = token_of("alice", token_use="id")
REFRESH = token_of("alice", token_use="refresh")
BEARER = {"token_type": "bearer", "expires_in": 3600}

BODIES: dict[str, Any] = {
    "Django simplejwt": {"refresh": REFRESH, "access": TOKEN},
    "dj-rest-auth": {"access": TOKEN, "refresh": REFRESH, "user": {"pk": 1, "email": "a@b.c"}},
    "Flask-JWT-Extended": {"access_token": TOKEN},
    "FastAPI Users": {"access_token": TOKEN, "token_type": "bearer"},
    "Laravel": {
        "status": "success",
        "user": {"email_verified_at": None},
        "authorisation": {"token": TOKEN, "type": "bearer"},
    },
    "Spring": {"token": TOKEN, "type": "Bearer", "id": 1, "roles": ["ROLE_USER"]},
    "JHipster": {"id_token": TOKEN},
    "ASP.NET Core": {"tokenType": "Bearer", "accessToken": TOKEN, "refreshToken": "CfDJ8"},
    "ABP": {
        "result": {
            "accessToken": TOKEN,
            "shouldResetPassword": False,
            "passwordResetCode": None,
            "requiresTwoFactorVerification": False,
            "twoFactorAuthProviders": None,
            "twoFactorRememberClientToken": None,
        },
        "success": True,
        "error": None,
        "unAuthorizedRequest": False,
    },
    "Express": {"token": TOKEN, "user": {"id": 1, "twoFactorEnabled": True, "isVerified": False}},
    "Express with flags": {
        "success": True,
        "message": "Login successful",
        "error": "",
        "errors": [],
        "accessToken": TOKEN,
        "verified": True,
        "emailVerified": False,
        "resetRequired": False,
        "requires2FA": False,
        "mfa": None,
    },
    "pairs": {"user": {}, "tokens": {"access": {"token": TOKEN}, "refresh": {"token": REFRESH}}},
    "Supabase": {
        **BEARER,
        "access_token": TOKEN,
        "refresh_token": "abcd1234efgh",
        "weak_password": None,
        "user": {
            "aud": "authenticated",
            "confirmation_sent_at": "2030-01-01T00:00:00Z",
            "recovery_sent_at": "2030-01-01T00:00:00Z",
            "factors": [{"factor_type": "totp", "status": "verified"}],
            "app_metadata": {"provider": "email"},
            "identities": [],
        },
    },
    "Keycloak": {
        **BEARER,
        "access_token": TOKEN,
        "refresh_expires_in": 1800,
        "refresh_token": REFRESH,
        "id_token": ID,
        "not-before-policy": 0,
        "session_state": "9b3c",
        "scope": "openid profile email",
    },
    "Cognito": {
        "AuthenticationResult": {"AccessToken": TOKEN, "IdToken": ID, "TokenType": "Bearer"},
        "ChallengeParameters": {},
    },
    "Firebase": {"localId": "1", "idToken": TOKEN, "registered": True, "refreshToken": "AMf-v"},
    "Strapi": {"jwt": TOKEN, "user": {"confirmed": True, "blocked": False}},
    "Directus": {"data": {"access_token": TOKEN, "expires": 900000, "refresh_token": "abcdefgh"}},
    "PocketBase": {"token": TOKEN, "record": {"verified": False, "emailVisibility": True}},
    "Nhost": {"session": {"accessToken": TOKEN, "refreshToken": "5f1c"}, "mfa": None},
    "Saleor": {"data": {"tokenCreate": {"token": TOKEN, "csrfToken": "abc", "errors": []}}},
    "django-graphql-auth": {
        "data": {"tokenAuth": {"token": TOKEN, "success": True, "errors": None}}
    },
    "WordPress": {
        "success": True,
        "statusCode": 200,
        "code": "jwt_auth_valid_credential",
        "data": {"token": TOKEN},
    },
}

REPLIES: dict[str, web.Response] = {
    **{name: answer(body) for name, body in BODIES.items()},
    "Devise-JWT": answer({"status": {"code": 200}}, Authorization=f"Bearer {TOKEN}"),
    "Flask's cookie": answer({"login": True}, Set_Cookie=f"access_token_cookie={TOKEN}; Path=/"),
    "FastAPI Users' cookie": web.Response(
        status=204, headers={"Set-Cookie": f"fastapiusersauth={TOKEN}; HttpOnly; Path=/"}
    ),
    "dj-rest-auth's cookie": answer({}, Set_Cookie=f"jwt-auth={TOKEN}; HttpOnly; Path=/"),
    "a text": answer(TOKEN.encode(), Content_Type="text/plain"),
    "a JSON string": answer(json.dumps(TOKEN).encode()),
}


async def test_they_log_in(either: World) -> None:
    """Each by the token that a frontend would send back, and no token is left in any."""
    for name, reply in REPLIES.items():
        either.backend.answer = reply
        status, headers, body = await either.ask("POST", "/login", BODY)
        text = f"{headers}{body.decode()}"
        assert (status, "eyJ" in text) == (reply.status, False), name
        key = next(
            part for part in text.replace('"', " ").replace(";", " ").split() if "lk_" in part
        )
        session = (await either.resolved(key[key.index("lk_") :].strip("'),>"))).session
        assert session.token.reveal() == TOKEN, name
