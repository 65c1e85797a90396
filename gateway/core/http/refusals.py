"""Refusals: the gateway's answers to requests that it does not pass on.

A refusal has a status, a stable reason for programs and a title for people. It is rendered as a
JSON problem (RFC 9457). Code compares refusals by identity or by `reason`, never by their title. A
refusal holds nothing that the client sent: a secret in a malformed field must stand neither in the
answer nor in a log.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Literal

Blame = Literal["client", "gateway", "upstream", "store"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """One kind of refusal.

    status: the HTTP status
    reason: the stable word for programs and logs
    title: one sentence for people
    blame: the side that is at fault
    fields: more fields of the answer
    """

    status: int
    reason: str
    title: str
    blame: Blame = "client"
    fields: Mapping[str, str] = field(default_factory=dict)

    def body(self, request_id: str | None = None) -> bytes:
        """The problem document (RFC 9457), with a newline at the end."""
        problem: dict[str, object] = {
            "type": "about:blank",
            "title": self.title,
            "status": self.status,
            "reason": self.reason,
        }
        if request_id is not None:
            problem["request_id"] = request_id
        return json.dumps(problem).encode() + b"\n"

    @property
    def phrase(self) -> str:
        """The status's reason phrase, RFC 9110 §15."""
        return HTTPStatus(self.status).phrase


def maintenance(retry_after: float) -> Refusal:
    """A 503 that says when to come back (RFC 9110 §10.2.3).

    retry_after: seconds
    """
    return replace(MAINTENANCE, fields={"Retry-After": str(int(retry_after))})


PROBLEM_TYPE = "application/problem+json"

# Faults of clients.
MALFORMED = Refusal(400, "malformed_request", "The request is not valid HTTP/1.1.")
PLAIN_HTTP = Refusal(
    400, "plain_http", "This port speaks HTTPS: write https:// in front of the address."
)
AMBIGUOUS_HOST = Refusal(400, "ambiguous_host", "The request's host can be read in several ways.")
AMBIGUOUS_PATH = Refusal(400, "ambiguous_path", "The path can be read in more than one way.")
UNKNOWN_SCOPE = Refusal(
    400,
    "unknown_scope",
    "The scope of a logout is all or others. Without a scope, this device is logged out.",
)
LOGIN_LOST = Refusal(
    400, "login_lost", "This login began in another browser, has ended already, or took too long."
)
AMBIGUOUS_KEY = Refusal(400, "ambiguous_key", "The request carries more than one key.")
UNDESCRIBED = Refusal(
    400, "ambiguous_description", "The request has no description, or more than one."
)
UNFIT = Refusal(
    400,
    "unfit_field",
    "The request has a field that the gateway would remove and a proxy would pass on.",
)
# Only an answer to a request with a key has `error` (RFC 6750 §3).
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="latchkey"'}
_BAD_KEY = {"WWW-Authenticate": 'Bearer realm="latchkey", error="invalid_token"'}
BAD_LOGIN = Refusal(
    400, "bad_login", "A login needs username and password, as JSON or as a form's fields."
)
WRONG_LOGIN = Refusal(
    401,
    "wrong_login",
    "The name or the password is wrong.",
    fields={"WWW-Authenticate": 'Bearer realm="latchkey"'},
)
NO_KEY = Refusal(401, "no_key", "Log in first: this request carries no key.", fields=_CHALLENGE)
NOT_A_KEY = Refusal(
    401, "not_a_key", "The request carries no valid key: it is misspelled.", fields=_BAD_KEY
)
TOKEN_NOT_KEY = Refusal(
    401, "token_not_key", "Send the key that the login gave, not a JWT.", fields=_BAD_KEY
)
BAD_KEY = Refusal(
    401, "invalid_key", "The key is unknown or its session has ended.", fields=_BAD_KEY
)
KEY_IN_URL = Refusal(
    401,
    "key_in_url",
    "A key in a URL is refused: send it in Authorization or in its cookie.",
    fields=_BAD_KEY,
)
BAD_REFRESH_KEY = Refusal(
    401, "invalid_refresh_key", "The refresh key is unknown, replaced, or its session has ended."
)
SEVERAL_KEYS = Refusal(
    401, "several_keys", "The cookies hold keys of several people: log in again.", fields=_BAD_KEY
)
# The answer names the age (RFC 9470 §3).
LOGIN_TOO_OLD = Refusal(401, "login_too_old", "This needs a more recent login: log in again.")
BAD_TOKEN = Refusal(401, "invalid_token", "The token is not valid here.", fields=_BAD_KEY)
FORBIDDEN = Refusal(403, "forbidden", "The session does not allow this.")
# The answer names the scopes (RFC 6750 §3.1).
INSUFFICIENT_SCOPE = Refusal(
    403, "insufficient_scope", "The session's token lacks a scope that this needs."
)
IMPERSONATES = Refusal(
    403, "impersonating", "This session is another user's: log out of it first, which leads back."
)
LOGIN_DENIED = Refusal(403, "login_denied", "The provider has refused the login.")
CROSS_SITE = Refusal(403, "cross_site", "A request from another site cannot do this.")
NO_UPGRADE = Refusal(403, "no_upgrade", "No WebSocket is served at this path.")
UNTRUSTED = Refusal(403, "untrusted_peer", "Only a configured proxy may ask this.")
ADMIN_OFF = Refusal(
    403, "admin_off", "The admin API is off: set admin.secret in config.yaml to use it."
)
ADMIN_SECRET = Refusal(
    401,
    "admin_secret",
    "This takes the admin secret: Authorization: Bearer …",
    fields={"WWW-Authenticate": 'Bearer realm="latchkey admin"'},
)
KEY_NOT_READ = Refusal(
    400,
    "key_not_read",
    "A key came in the wrong place: send it in Authorization as Bearer, or in its cookie.",
)
NO_ROUTE = Refusal(404, "no_route", "Nothing is served at this path.")
NO_SUCH_SESSION = Refusal(404, "no_session", "There is no such session.")
NO_SESSION = Refusal(404, "no_session", "The subject has no such session.")
METHOD = Refusal(405, "method_not_allowed", "This method is not served at this path.")
UNKNOWN_SUBJECT = Refusal(
    409,
    "unknown_subject",
    "The token names no subject, so its other devices cannot be found: they are still logged in.",
)
HEAD_TIMEOUT = Refusal(408, "head_timeout", "The request's head took too long.")
BODY_TIMEOUT = Refusal(408, "body_timeout", "The request's body took too long.")
READ_TIMEOUT = Refusal(408, "client_too_slow", "The answer was read too slowly.")
BODY_TOO_LARGE = Refusal(413, "body_too_large", "The request's body is over the limit.")
TARGET_TOO_LONG = Refusal(414, "target_too_long", "The request's target is over the limit.")
EXPECTATION = Refusal(417, "unknown_expectation", "Only 100-continue can be expected.")
TOO_MANY_ATTEMPTS = Refusal(
    429, "too_many_attempts", "Too many logins have failed: wait before the next one."
)
TOO_MANY_AT_ONCE = Refusal(
    429,
    "too_many_at_once",
    "Too many logins at once: wait for the others to end.",
    fields={"Retry-After": "1"},
)
RATE_LIMITED = Refusal(429, "rate_limited", "Too many requests: wait before the next one.")
CONCURRENCY_LIMITED = Refusal(
    429,
    "concurrency_limited",
    "Too many requests at once: wait for the others to end.",
    fields={"Retry-After": "1"},
)
HEAD_TOO_LARGE = Refusal(431, "head_too_large", "The request's header section is over the limit.")
UNKNOWN_CODING = Refusal(501, "unknown_coding", "Only the transfer coding 'chunked' is known.")
UNKNOWN_METHOD = Refusal(501, "unknown_method", "The gateway itself does not know this method.")
VERSION = Refusal(505, "unknown_version", "This version of HTTP is not supported.")

# Faults of upstreams.
UPSTREAM_REFUSED = Refusal(
    502, "upstream_unreachable", "The upstream cannot be reached.", blame="upstream"
)
UPSTREAM_BROKEN = Refusal(
    502, "upstream_invalid", "The upstream's answer is not valid HTTP/1.1.", blame="upstream"
)
UPSTREAM_CLOSED = Refusal(
    502,
    "upstream_closed",
    "The upstream closed the connection before it answered.",
    blame="upstream",
)
UPSTREAM_SILENT = Refusal(
    504, "upstream_timeout", "The upstream did not answer in time.", blame="upstream"
)
NO_TOKEN = Refusal(
    502, "no_token", "The login succeeded, but its reply holds no usable token.", blame="upstream"
)
NO_CLAIMS = Refusal(
    502,
    "no_claims",
    "The login succeeded, but its reply does not name the user.",
    blame="upstream",
)
NO_REALM = Refusal(
    502,
    "no_realm",
    "The login does not name its user's realm.",
    blame="upstream",
)
NOT_VERIFIED = Refusal(
    502, "token_not_verified", "The new token cannot be verified.", blame="upstream"
)
UNUSABLE_TOKEN = Refusal(502, "unusable_token", "The new token cannot be used.", blame="upstream")
NO_JWT = Refusal(
    502,
    "no_jwt",
    "The provider's access token is not a JWT: set `token: id_token` to use the ID token.",
    blame="upstream",
)
PROVIDER_INVALID = Refusal(
    502, "provider_invalid", "The provider's answer cannot be used.", blame="upstream"
)
OTHER_SUBJECT = Refusal(
    502, "other_subject", "The new token names another subject.", blame="upstream"
)
CAPTURED_REPLY = Refusal(
    502,
    "captured_reply",
    "The reply cannot be read, so it may hold a token that must stay hidden.",
    blame="upstream",
)
TOKEN_IN_REPLY = Refusal(
    502, "token_in_reply", "The reply may hold a token that must stay hidden.", blame="upstream"
)
LOGIN_REPLY = Refusal(502, "login_reply", "The login's reply cannot be read.", blame="upstream")

UPSTREAM_DOWN = Refusal(
    503,
    "upstream_down",
    "The upstream has no healthy server.",
    blame="upstream",
    fields={"Retry-After": "1"},
)
CIRCUIT_OPEN = Refusal(
    503,
    "circuit_open",
    "The upstream fails too often, and is left alone for a while.",
    blame="upstream",
    fields={"Retry-After": "1"},
)

# The gateway or its store is unable to answer now. None of these logs a user out.
BUFFER_FULL = Refusal(
    507,
    "buffer_full",
    "There is no room on disk for the request's body: try again later.",
    blame="gateway",
)
BUSY = Refusal(
    503, "busy", "The gateway is at its limit.", blame="gateway", fields={"Retry-After": "1"}
)


def _upstream_full(reason: str, title: str) -> Refusal:
    return Refusal(503, reason, title, blame="gateway", fields={"Retry-After": "1"})


def queue_full(name: str, places: int, size: float) -> Refusal:
    """No request more may wait for a place at an upstream: `size` do."""
    title = f"{_all_busy(name, places)}, and upstreams.{name}.queue lets {size:g} wait"
    return _upstream_full("upstream_full", title)


def waited_in_vain(name: str, places: int, seconds: float, setting: str) -> Refusal:
    """No place at an upstream was free for so long; `setting` says for how long."""
    title = f"{_all_busy(name, places)}, and none was free for {seconds:g} s ({setting})"
    return _upstream_full("upstream_full", title)


def _all_busy(name: str, places: int) -> str:
    return f"upstream {name} is full: {places} of upstreams.{name}.max_connections are busy"


def streams_full(name: str, places: int) -> Refusal:
    """No stream more fits at an upstream."""
    title = f"upstream {name} is full: {places} of upstreams.{name}.max_streams are open"
    return _upstream_full("streams_full", title)


OVERLOADED = Refusal(
    503,
    "overloaded",
    "The gateway has too much to do (limits.shed).",
    blame="gateway",
    fields={"Retry-After": "1"},
)
MAINTENANCE = Refusal(
    503, "maintenance", "This is being worked on: try again later.", blame="gateway"
)
OVER_SHARE = Refusal(
    503,
    "over_share",
    "Too many requests come from your address at once (limits.per_address).",
    fields={"Retry-After": "1"},
)
STORE_DOWN = Refusal(
    503,
    "store_unavailable",
    "Sessions cannot be checked at the moment.",
    blame="store",
    fields={"Retry-After": "1"},
)
SESSIONS_LEFT = Refusal(
    503,
    "sessions_left",
    "This was done, but other devices may still be logged in: log out everywhere.",
    blame="store",
)
NEWER_SESSION = Refusal(
    503,
    "newer_session",
    "A newer gateway wrote this session, and this one cannot read it.",
    blame="gateway",
    fields={"Retry-After": "5"},
)
NO_USERS = Refusal(
    503,
    "users_unavailable",
    "Users cannot be looked up at the moment.",
    blame="gateway",
    fields={"Retry-After": "5"},
)
RENEWAL = Refusal(
    503,
    "renewal_failed",
    "The session's token cannot be renewed at the moment.",
    blame="upstream",
    fields={"Retry-After": "5"},
)
PROVIDER_DOWN = Refusal(
    503,
    "provider_unavailable",
    "The provider cannot be asked at the moment.",
    blame="upstream",
    fields={"Retry-After": "5"},
)
KEYS = Refusal(
    503,
    "keys_unavailable",
    "Tokens cannot be verified at the moment.",
    blame="upstream",
    fields={"Retry-After": "5"},
)
LOOP = Refusal(508, "loop", "The request has passed through this gateway before.", blame="gateway")
RULE_FAILED = Refusal(
    500, "rule_failed", "A rule of the gateway has failed on this request.", blame="gateway"
)
INTERNAL = Refusal(500, "internal_error", "The gateway failed.", blame="gateway")
