"""What the relay tells the endpoints of a caller, for tests that stand in for it."""

import json

import jwt

from tests.conftest import SIGNING_SECRET, token_of
from tests.support.endpoints import BODY, World, answer

# What browsers say of a page of the site's own.
OWN = {"Sec_Fetch_Site": "same-origin"}


async def log_in(place: World, subject: str = "alice", **headers: str) -> tuple[str, str]:
    """A new key and its session's id."""
    return await log_in_with(place, token_of(subject), **headers)


async def log_in_with(place: World, token: str, **headers: str) -> tuple[str, str]:
    """The same for a token of the test's own."""
    place.backend.answer = answer({"token": token})
    reply = await place.ask("POST", "/login", BODY, **headers)
    key = str(json.loads(reply[2])["token"])
    place.backend.answer = answer({})
    return key, (await place.resolved(key)).session.id


def unnamed_token(number: int) -> str:
    """A token that names no subject; each number makes another one."""
    return jwt.encode({"number": number}, SIGNING_SECRET, algorithm="HS256")


def by_header(session_id: str) -> dict[str, str]:
    """What the relay says of a request with a good key in Authorization."""
    return {
        "X_Latchkey_Session": session_id,
        "X_Latchkey_Carrier": "header",
        "Authorization": f"Bearer {token_of('alice')}",
        "X_User_Id": "alice",
    }


def by_cookie(session_id: str, name: str = "jwt") -> dict[str, str]:
    """What it says of one in a cookie."""
    return {
        **by_header(session_id),
        "X_Latchkey_Carrier": "cookie",
        "X_Latchkey_Cookie": name,
        "Host": "app.example",
        "X_Forwarded_Host": "app.example",
    }
