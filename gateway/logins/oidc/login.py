"""`kind: oidc`: a login at an OpenID provider, by code and PKCE.

A browser goes to the provider and comes back with a code, for which the provider gives tokens; it
gets a key in a cookie. What it brings back opens only the login state that it took along
(`core.logins.login_state`). The provider can end sessions (back-channel logout), and a logout here
leads on to the provider's.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import parse_qs

from gateway.core.http import refusals, return_paths
from gateway.core.http.refusals import Refusal
from gateway.core.logins import authorization_code, login_state, token_response
from gateway.core.logins.authorization_code import BadAnswer, Code
from gateway.core.logins.carriers import KeyCookie
from gateway.core.logins.login_state import LoginState
from gateway.core.logins.provider_metadata import Metadata
from gateway.core.logins.replies import Reply
from gateway.core.logins.request_echo import EchoDetector
from gateway.core.logins.token_response import BadTokenResponse, NotJwt, StoredTokens, TokenResponse
from gateway.core.sessions.sealing import NONCE_BYTES
from gateway.core.sessions.session import Device, Session
from gateway.core.tokens import id_tokens
from gateway.core.tokens.claims import Claims, NotVerified
from gateway.logins import Answer, Attempt, LoggedIn, Login, LoginRefused, LoginServices, _lives
from gateway.logins._events import end_replaced, report, reporting_failures, subject_of
from gateway.logins.oidc import backchannel_logout
from gateway.logins.oidc.backchannel_logout import BackchannelLogout
from gateway.logins.oidc.provider import Provider, TokenRequestRefused
from gateway.logins.oidc.renewal import OidcRenewal
from gateway.outbound.backends import BackendFailed
from gateway.store.renewals import Renew

if TYPE_CHECKING:
    from gateway.config.logins.oidc import OidcSection
    from gateway.core.logins.login_paths import LoginPath

_log = logging.getLogger("gateway.logins")

# Many servers take request lines of 8 KiB. Without the hint, a provider asks the user.
_MAX_HINT_BYTES = 6 * 1024

# The URLs on the way hold states and codes: no cache and no other site may get them.
_PRIVATE = (("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer"))

# Of a query; login pages send a few.
_MAX_PARAMETERS = 50

_SEE_OTHER = 303


class OidcLogin(Login):
    """One configured login of this kind."""

    def __init__(self, config: OidcSection, services: LoginServices) -> None:
        self._config = config
        self._sessions = services.sessions
        self._provider = Provider(config, services.sessions.skew)
        self._realm = services.realms[config.path]
        self._return_origins = services.return_origins
        self.renewal: Renew | None = OidcRenewal(
            config, self._provider, is_subject=self._is_subject, skew=services.sessions.skew
        )
        self._backchannel_logout = BackchannelLogout(config, self._provider, services.sessions)

    def answer_at(self, path: LoginPath) -> Answer:
        answers: dict[str, Answer] = {
            "path": self,
            "callback_path": self.callback,
            "backchannel_path": self._backchannel_logout,
        }
        return answers[path.setting]

    async def close(self) -> None:
        await self._provider.close()

    # The way to the provider.

    async def __call__(self, attempt: Attempt) -> Reply:
        """Send a browser to the provider. Raises `LoginRefused`."""
        config, like = self._config, _cookie(attempt)
        back, max_age = _asked(attempt.query, self._return_origins)
        with reporting_failures(self._sessions, attempt):
            try:
                metadata = await self._provider.metadata()
            except BackendFailed as failed:
                again = return_paths.login_url(config.path, back, max_age)
                raise LoginRefused(failed.refusal, again=again) from None
        pending = login_state.begin(
            secrets.token_bytes(login_state.RANDOM_BYTES),
            origin=config.origin or attempt.origin,
            return_to=back,
            now=time.time(),
            is_remembered=attempt.is_remembered,
            max_age=max_age,
        )
        random = secrets.token_bytes(NONCE_BYTES)
        taken = login_state.cookies(pending, config.path, like, self._sessions.sealer, random)
        deleted = login_state.deletions_if_too_many(attempt.login_states, like, taken)
        return _redirect(self._authorization_url(metadata, pending), *deleted, *taken)

    def _authorization_url(self, metadata: Metadata, pending: LoginState) -> str:
        """The authorization request.

        OpenID Connect Core 1.0 §3.1.2.1, RFC 7636 §4.3. Where a login may not be old, the provider
        is to ask the user again, whatever session it has.
        """
        config, again = self._config, {}
        if pending.max_age is not None:
            again = {"prompt": "login", "max_age": str(pending.max_age)}
        return authorization_code.with_parameters(
            metadata.authorization_endpoint,
            {
                **config.parameters,
                "response_type": "code",
                "client_id": config.client_id,
                "redirect_uri": pending.origin + config.callback_path,
                "scope": " ".join(config.scopes),
                "state": pending.state,
                "nonce": pending.nonce,
                "code_challenge": pending.challenge,
                "code_challenge_method": "S256",
                **again,
            },
        )

    # The way back.

    async def callback(self, attempt: Attempt) -> Reply:
        """Log in a browser that comes back, if the login has begun in it.

        Raises `LoginRefused` and `StoreUnavailable`.
        """
        with reporting_failures(self._sessions, attempt):
            pending = await self._claim(attempt)
            try:
                return await self._finish(attempt, pending)
            except BackendFailed as failed:
                again = return_paths.login_url(
                    self._config.path, pending.return_to, pending.max_age
                )
                ended = login_state.ended(attempt.login_states, pending.state, _cookie(attempt))
                raise LoginRefused(failed.refusal, again=again, cookies=ended) from None

    async def _claim(self, attempt: Attempt) -> LoginState:
        """Claim the login that ends here. Raises `LoginRefused`.

        No second request can end it.
        """
        path, now = self._config.path, time.time()
        try:
            state = authorization_code.state_in(attempt.query)
        except BadAnswer:
            state = ""
        pending = login_state.find(
            attempt.login_states, state, path, _cookie(attempt), self._sessions.sealer, now
        )
        guard = self._sessions.replay_guard
        if pending is None or not await guard.claim(f"trip {state}", login_state.LIFETIME):
            raise LoginRefused(refusals.LOGIN_LOST, again=path)
        return pending

    async def _finish(self, attempt: Attempt, pending: LoginState) -> Reply:
        """Issue a session for the provider's tokens. Raises `BackendFailed`."""
        metadata = await self._provider.metadata()
        tokens = await self._redeem(attempt, pending, metadata)
        claims, token, expiry = await self._verify(attempt, pending, tokens)
        subject = subject_of(self._realm, attempt, self._name(claims), claims.payload)
        if subject is None:
            self._fail(attempt, "no_subject")
        await end_replaced(self._sessions, attempt)
        issued = await self._sessions.issue(
            token=token,
            subject=subject,
            login=self._config.path,
            device=Device(attempt.device, attempt.address),
            token_expiry=expiry,
            refresh=token_response.dump(self._stored(tokens, metadata)),
            renew_before=self._config.renew_before if tokens.refresh_token else None,
            names=[
                backchannel_logout.session_name(self._config, kind, value)
                for kind, value in id_tokens.session_names(claims.payload)
            ],
            life=_lives.life_of(self._config, remembered=pending.is_remembered),
            in_lasting_cookie=pending.is_remembered,
            auth_time=id_tokens.login_time(claims.payload) or 0,
        )
        report(self._sessions, "login", attempt, issued.session)
        like = _cookie(attempt)
        ended = login_state.ended(attempt.login_states, pending.state, like)
        key = like.setting(issued.key.reveal(), issued.cookie_seconds)
        return LoggedIn.of(_redirect(pending.return_to, *ended, key))

    async def _redeem(
        self, attempt: Attempt, pending: LoginState, metadata: Metadata
    ) -> TokenResponse:
        """Redeem the code that the browser brings. Raises `BackendFailed`."""
        try:
            answer = authorization_code.read_answer(attempt.query, metadata)
        except BadAnswer as error:
            self._fail(attempt, str(error), refusals.LOGIN_LOST)
        if not isinstance(answer, Code):
            self._fail(attempt, answer.error, _refusal_of(answer.error))
        try:
            redirect_uri = pending.origin + self._config.callback_path
            return await self._provider.redeem(answer.code, pending.verifier, redirect_uri)
        except TokenRequestRefused as refused:
            used = refused.error == "invalid_grant"  # the code has been redeemed, or is too old
            self._fail(
                attempt,
                refused.error,
                refusals.LOGIN_LOST if used else refusals.PROVIDER_INVALID,
            )

    async def _verify(
        self, attempt: Attempt, pending: LoginState, tokens: TokenResponse
    ) -> tuple[Claims, str, float | None]:
        """Verify the tokens. Returns the ID token's claims, the token, its expiry.

        Raises `BackendFailed`.
        """
        if tokens.id_token is None:
            self._fail(attempt, "no_id_token")
        try:
            claims = await self._provider.id_claims(tokens.id_token, tokens.access_token)
            id_tokens.check_nonce(claims.payload, pending.nonce)
            now, skew = time.time(), self._sessions.skew
            if pending.max_age is not None:
                id_tokens.check_login_time(claims.payload, now - pending.max_age - skew)
            token, expiry = token_response.token_of(
                tokens, self._config.token, claims, now=now, skew=skew
            )
        except NotJwt:
            self._fail(attempt, "no_jwt", refusals.NO_JWT)
        except (NotVerified, BadTokenResponse) as error:
            self._fail(attempt, str(error))
        if EchoDetector(attempt.target, attempt.fields, attempt.body).is_echo(token):
            self._fail(attempt, "echo")
        return claims, token, expiry

    def _fail(
        self, attempt: Attempt, reason: str, refusal: Refusal = refusals.PROVIDER_INVALID
    ) -> NoReturn:
        """Log the exact reason, and raise `BackendFailed`."""
        level = logging.ERROR if refusal.blame == "upstream" else logging.WARNING
        _log.log(level, "login %s at %s: %s", attempt.request_id, self._config.issuer, reason)
        raise BackendFailed(refusal)

    def _is_subject(self, subject: str, claims: Claims) -> bool:
        """Whether an ID token's claims name the subject of a session."""
        name = self._name(claims)
        return name is not None and self._realm.is_subject(subject, name, claims.payload)

    def _name(self, claims: Claims) -> str | None:
        """The user's name in an ID token.

        An unverified address may be another person's.
        """
        payload = dict(claims.payload)
        verified = payload.get("email_verified")
        if verified is not True and verified != "true":  # `==` would take 1 for True
            payload.pop("email", None)
        return Claims(payload, None).subject(self._config.subject)

    def _stored(self, tokens: TokenResponse, metadata: Metadata) -> StoredTokens:
        """The tokens that the session stores, with the ID token for logout hints."""
        needed = metadata.end_session_endpoint and self._config.token != "id_token"  # noqa: S105
        return StoredTokens(tokens.refresh_token, tokens.id_token if needed else None)

    # The way out.

    async def logout_url(self, session: Session, origin: str) -> str | None:
        """The provider's logout, if it has one (RP-Initiated Logout 1.0 §2)."""
        try:
            endpoint = (await self._provider.metadata()).end_session_endpoint
        except BackendFailed:
            return None
        if not endpoint:
            return None
        config = self._config
        parameters = {
            "client_id": config.client_id,
            "post_logout_redirect_uri": (config.origin or origin) + config.after_logout,
        }
        # The session's own token is never the hint: upstreams take it (wire-rules.md#C4).
        hint = token_response.load(session.refresh).id_token
        if hint is not None and len(hint.reveal()) <= _MAX_HINT_BYTES:
            parameters["id_token_hint"] = hint.reveal()
        return authorization_code.with_parameters(endpoint, parameters)


def _cookie(attempt: Attempt) -> KeyCookie:
    """The cookie of keys: at these paths, a key travels in nothing else."""
    assert attempt.cookie is not None
    return attempt.cookie


def _asked(query: str, origins: Collection[str]) -> tuple[str, int | None]:
    """Where the browser goes afterwards, and how old the login may be (seconds).

    The place is a path, or at an allowed origin.
    """
    try:
        given = parse_qs(query.removeprefix("?"), max_num_fields=_MAX_PARAMETERS)
    except ValueError:
        return "/", None
    back = return_paths.safe(given.get("return_to", ["/"])[0], origins)
    return back, return_paths.max_age_in(given.get(return_paths.MAX_AGE, [""])[0])


def _refusal_of(error: str) -> Refusal:
    """The refusal for an error that the browser brings from the provider."""
    if error in authorization_code.DENIALS:
        return refusals.LOGIN_DENIED
    passing = error in ("server_error", "temporarily_unavailable")
    return refusals.PROVIDER_DOWN if passing else refusals.PROVIDER_INVALID


def _redirect(url: str, *cookies: str) -> Reply:
    """A redirect by which every browser goes on with a GET (RFC 9700 §4.12)."""
    lines = [("Set-Cookie", cookie) for cookie in cookies]
    return Reply(_SEE_OTHER, (("Location", url), *lines, *_PRIVATE), b"")
