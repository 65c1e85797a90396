"""Asking a provider to log somebody in, and reading what the browser brings back.

OpenID Connect Core 1.0 §3.1.2, RFC 6749 §4.1, RFC 7636 (PKCE), RFC 9207 (who answers).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode

from gateway.core.logins.provider_metadata import Metadata
from gateway.core.secret import Secret

# Every error that a provider may answer with; any other word is the text of nobody we know, and is
# neither shown nor logged. Those in which the provider, or the user there, has said no to the user:
DENIALS = frozenset(
    {
        "access_denied",
        "login_required",
        "interaction_required",
        "account_selection_required",
        "consent_required",
        "unmet_authentication_requirements",
    }
)
# and those that say something of the provider, or of how the gateway is set up there.
_FAULTS = frozenset(
    {
        "invalid_request",
        "unauthorized_client",
        "unsupported_response_type",
        "invalid_scope",
        "invalid_target",
        "server_error",
        "temporarily_unavailable",
        "request_not_supported",
        "request_uri_not_supported",
        "registration_not_supported",
        "invalid_client",
        "invalid_grant",
        "unsupported_grant_type",
    }
)
OTHER = "other"

# What is said to the provider by the gateway alone; config.yaml adds to it and changes none of it.
PARAMETERS = frozenset(
    {
        "response_type",
        "response_mode",
        "client_id",
        "redirect_uri",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
        "request",
        "request_uri",
    }
)

# A query of more parameters than this is none of a provider's, nor is a longer value.
_MAX_PARAMETERS = 50
_MAX_VALUE_CHARACTERS = 4096


class BadAnswer(ValueError):
    """This is no answer of the provider's; the message is a stable reason that may be logged."""


@dataclass(frozen=True, slots=True)
class Code:
    """The provider has logged somebody in."""

    code: Secret


@dataclass(frozen=True, slots=True)
class Denied:
    """The provider has not; `error` is one of the words that are known here."""

    error: str


def with_parameters(url: str, parameters: Mapping[str, str]) -> str:
    """The URL with more in its query."""
    mark = "&" if "?" in url else "?"
    return url + mark + urlencode(parameters, quote_via=quote)


def state_in(query: str) -> str:
    """The state that a browser brings back, whatever else it brings. Raises `BadAnswer`."""
    return _sole(_parameters(query), "state") or ""


def read_answer(query: str, metadata: Metadata) -> Code | Denied:
    """What the provider says by the query of a callback. Raises `BadAnswer`."""
    parameters = _parameters(query)
    issuer = _sole(parameters, "iss")
    if issuer is not None and issuer != metadata.issuer:
        raise BadAnswer("wrong_iss")
    code, error = _sole(parameters, "code"), _sole(parameters, "error")
    if error is not None:
        # Some providers that name themselves do not do so here; nobody is let in by that.
        return Denied(known(error))
    if issuer is None and metadata.names_itself:
        raise BadAnswer("no_iss")
    if not code:
        raise BadAnswer("no_code")
    return Code(Secret(code))


def known(error: object) -> str:
    """A provider's error, if it is one that the specifications know."""
    return error if isinstance(error, str) and error in DENIALS | _FAULTS else OTHER


def _parameters(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query.removeprefix("?"),
            keep_blank_values=True,
            max_num_fields=_MAX_PARAMETERS,
            errors="strict",
        )
    except ValueError:
        raise BadAnswer("malformed") from None


def _sole(parameters: Iterable[tuple[str, str]], name: str) -> str | None:
    """RFC 6749 §3.1: a parameter must not stand twice."""
    values = [value for given, value in parameters if given == name]
    if len(values) > 1 or any(len(value) > _MAX_VALUE_CHARACTERS for value in values):
        raise BadAnswer(f"bad_{name}")
    return values[0] if values else None
