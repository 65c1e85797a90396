"""The authorization code flow: the request to a provider, and its answer.

OpenID Connect Core 1.0 §3.1.2, RFC 6749 §4.1, RFC 7636 (PKCE), RFC 9207 (`iss`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode

from gateway.core.logins.provider_metadata import Metadata
from gateway.core.secret import Secret

# The errors that a provider may answer with. Other words are never shown or logged: any site can
# write them into a link. First the refusals, by the provider or by its user;
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
# then faults of the provider, or of the gateway's registration there.
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

# The parameters that the gateway itself sends: config.yaml cannot set them.
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

# Of a callback's query. Providers send fewer parameters, and shorter values.
_MAX_PARAMETERS = 50
_MAX_VALUE_CHARACTERS = 4096


class BadAnswer(ValueError):
    """The query holds no answer of the provider.

    The message is a stable reason for the log.
    """


@dataclass(frozen=True, slots=True)
class Code:
    """The provider has logged a user in."""

    code: Secret


@dataclass(frozen=True, slots=True)
class Denied:
    """The provider has refused; `error` is one of the known words."""

    error: str


def with_parameters(url: str, parameters: Mapping[str, str]) -> str:
    """The URL with more parameters in its query."""
    mark = "&" if "?" in url else "?"
    return url + mark + urlencode(parameters, quote_via=quote)


def state_in(query: str) -> str:
    """The `state` in a callback's query. Raises `BadAnswer`."""
    return _sole(_parameters(query), "state") or ""


def read_answer(query: str, metadata: Metadata) -> Code | Denied:
    """The provider's answer in a callback's query. Raises `BadAnswer`."""
    parameters = _parameters(query)
    issuer = _sole(parameters, "iss")
    if issuer is not None and issuer != metadata.issuer:
        raise BadAnswer("wrong_iss")
    code, error = _sole(parameters, "code"), _sole(parameters, "error")
    if error is not None:
        # Without `iss`, for some providers leave it out of errors. An error lets no user in.
        return Denied(known_error(error))
    if issuer is None and metadata.sends_iss:
        raise BadAnswer("no_iss")
    if not code:
        raise BadAnswer("no_code")
    return Code(Secret(code))


def known_error(error: object) -> str:
    """A provider's error if the specifications know it, or else `OTHER`."""
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
    """The value of a parameter, which must not stand twice (RFC 6749 §3.1)."""
    values = [value for given, value in parameters if given == name]
    if len(values) > 1 or any(len(value) > _MAX_VALUE_CHARACTERS for value in values):
        raise BadAnswer(f"bad_{name}")
    return values[0] if values else None
