"""Login sections of config.yaml: the settings that several kinds share.

`logins` has a file for each kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    Field,
    GetJsonSchemaHandler,
    field_validator,
    model_validator,
)

from gateway.config.base import Model, Shorthand
from gateway.config.path_values import ExactPath, ShapedPath
from gateway.config.token_sections import Renew, Verify
from gateway.config.token_values import PointerText, PrefixText
from gateway.config.units import Duration, Size
from gateway.config.values import Carrier, KeyForm, Method, OneOrMany, off
from gateway.core.http import path_shapes
from gateway.core.logins.login_paths import BackendPath, LoginPath
from gateway.core.logins.token_places import JsonPointer, TokenPlace, parse_pointer

if TYPE_CHECKING:
    from gateway.config.document import Document, Where
    from gateway.config.problems import Problem


class Guessing(Model):
    """Login throttling: how many logins may fail before the next one waits.

    0 means any number; `off` sets all of them to 0. `window` and the delays are rounded up to whole
    seconds.
    """

    account: Annotated[tuple[str, ...], OneOrMany(), Field(min_length=1)] = (
        "username",
        "email",
        "login",
        "user",
        "user_id",
        "login_id",
        "identifier",
        "account",
        "mail",
        "phone",
        "phone_number",
        "mobile",
    )
    window: Annotated[Duration, Field(ge=1)] = 300.0
    per_account: Annotated[int, Field(ge=0)] = 10
    per_account_everywhere: Annotated[int, Field(ge=0)] = 100
    per_address: Annotated[int, Field(ge=0)] = 100
    in_all: Annotated[int, Field(ge=0)] = 0
    delay_after: Annotated[int, Field(ge=0)] = 5
    delay: Annotated[Duration, Field(ge=1)] = 1.0
    longest_delay: Annotated[Duration, Field(ge=1)] = 60.0
    known_for: Duration = 30 * 86400.0

    @property
    def is_off(self) -> bool:
        return not any(getattr(self, name) for name in _COUNTS)

    @model_validator(mode="before")
    @classmethod
    def _lengthen(cls, value: Any) -> Any:
        return dict.fromkeys(_COUNTS, 0) if off(value) == "off" else value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: GetJsonSchemaHandler) -> Any:
        return {"anyOf": [{"enum": [False, "off"]}, handler(schema)]}


_COUNTS = ("per_account", "per_account_everywhere", "per_address", "in_all")


class Remember(Shorthand):
    """Sessions of users who ask to be remembered. A text means its `field`."""

    _short_for = "field"

    field: Annotated[str, Field(min_length=1)] = "remember_me"
    always: bool = False
    idle_timeout: Annotated[Duration, Field(ge=1)] = 14 * 86400.0
    max_age: Annotated[Duration, Field(ge=1)] = 30 * 86400.0

    @field_validator("field")
    @classmethod
    def _is_a_place(cls, field: str) -> str:
        return parse_pointer(field).pointer if field.startswith("/") else field


class LoginSection(Model, ABC):
    """A login of any kind. Other modules ask its properties, not its `kind`.

    A kind adds its own settings, and overrides the properties that differ for it. The processes
    that serve get these properties as plain values.
    """

    FILES: ClassVar[tuple[str, ...]] = ()  # the settings that name files

    kind: str
    path: ExactPath
    subject_prefix: PrefixText | None = None
    idle_timeout: Annotated[Duration, Field(ge=1)] | None = None
    max_age: Annotated[Duration, Field(ge=1)] | None = None
    remember: Remember | None = None

    @property
    @abstractmethod
    def paths(self) -> tuple[LoginPath, ...]:
        """The paths at which the gateway answers; the first one is `path`."""

    @property
    def backend_paths(self) -> tuple[BackendPath, ...]:
        """The paths at which the gateway asks a backend for tokens."""
        return ()

    @property
    def refresh_path(self) -> LoginPath | None:
        """The path at which frontends refresh, if the gateway answers there."""
        return None

    @property
    def lacks_refresh_path(self) -> bool:
        """Frontends may refresh, but at a path that is not known."""
        return False

    @property
    def token_place(self) -> TokenPlace | None:
        """The place of the token in the backend's reply, if replies hold one."""
        return None

    @property
    def has_opaque_tokens(self) -> bool:
        """Its tokens are no JWTs, so nothing is read in them."""
        return False

    @property
    def token_rules(self) -> Verify | None:
        """The setting `verify`, if the kind has it: how tokens are verified."""
        return None

    @property
    def pending_place(self) -> JsonPointer | None:
        """The place at which a backend's reply announces a second step."""
        return None

    @property
    def believes_tokens(self) -> bool:
        """The gateway believes tokens that it does not verify."""
        return False

    @property
    def userinfo_upstream(self) -> str | None:
        """The upstream that answers for userinfo, if it is not the login's own."""
        return None

    @property
    def mints(self) -> bool:
        """The gateway mints the tokens, so the section `signing` is needed."""
        return False

    @property
    def subject_claims(self) -> tuple[str, ...]:
        """The claims that name a token's subject; the first one present counts."""
        return ()

    @property
    def namespace(self) -> tuple[object, ...]:
        """The namespace of its names: in the same one, a name is one person's."""
        return "login", self.path

    @property
    def keeps_tokens_valid(self) -> bool:
        """The gateway renews or mints its tokens, so sessions outlast a token."""
        return True

    @property
    def takes_passwords(self) -> bool:
        """Clients can guess passwords here, so failures are counted."""
        return False

    @property
    def own_throttle(self) -> Guessing | None:
        """The login's own `guessing`. None: the section `guessing` counts."""
        return None

    @property
    def own_key_form(self) -> KeyForm | None:
        """The form of its keys. None: `keys.form` says it."""
        return None

    @property
    def has_form(self) -> bool:
        """The login page shows a form that leads here."""
        return False

    @property
    def provider_name(self) -> str | None:
        """The name of the provider on the login page, if there is one."""
        return None

    @property
    def provider_issuer(self) -> str | None:
        """The issuer of the provider, a URL."""
        return None

    @property
    def users_file(self) -> str | None:
        """The path of the users file."""
        return None

    def with_renewal(self, renew: Renew | None) -> Self:
        """The section with a default for `renew`, if the kind has that setting."""
        return self

    def with_refresh(self, taken: Collection[str]) -> Self:
        """The section with its `refresh` decided, if the kind has that setting.

        By default there is none at a path that is `taken`.
        """
        return self

    def file_problems(self, where: Where, document: Document) -> Iterator[Problem]:
        """The problems inside the files of `FILES`; `where` names this section."""
        return iter(())


class PasswordLoginSection(LoginSection):
    """A login by one request, which holds a password."""

    methods: Annotated[tuple[Method, ...], OneOrMany(), Field(min_length=1)] = ("POST",)
    max_body: Size = 2**20
    body_timeout: Annotated[Duration, Field(gt=0)] = 20.0
    carrier: Carrier | None = None
    key_form: KeyForm | None = None
    guessing: Guessing | None = None

    @property
    def paths(self) -> tuple[LoginPath, ...]:
        return (
            LoginPath(
                setting="path",
                path=self.path,
                methods=self.methods,
                max_body=self.max_body,
                body_timeout=self.body_timeout,
                carrier=self.carrier,
            ),
        )

    @property
    def takes_passwords(self) -> bool:
        return True

    @property
    def own_throttle(self) -> Guessing | None:
        return self.guessing

    @property
    def own_key_form(self) -> KeyForm | None:
        return self.key_form

    @field_validator("methods")
    @classmethod
    def _may_log_in(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        if "OPTIONS" in methods:
            raise ValueError("cannot hold OPTIONS: it asks what may be done, and is no login")
        return methods


class UpstreamLoginSection(PasswordLoginSection):
    """A login for which a backend is asked."""

    upstream: str
    path: ShapedPath
    backend_path: ShapedPath = ""
    timeout: Annotated[Duration, Field(gt=0)] = 15.0
    max_reply: Size = 2**20
    failed: PointerText = parse_pointer("/errors")
    pending: PointerText | None = None
    cross_site: Literal["refuse", "allow"] = "refuse"

    @property
    def paths(self) -> tuple[LoginPath, ...]:
        may_be_led_to = self.cross_site == "allow"
        return tuple(
            replace(path, upstream=self.upstream, may_be_led_to=may_be_led_to)
            for path in super().paths
        )

    @property
    def backend_paths(self) -> tuple[BackendPath, ...]:
        return (BackendPath(self.upstream, self.backend_path),)

    @property
    def pending_place(self) -> JsonPointer | None:
        return self.pending

    @model_validator(mode="after")
    def _visits_fit(self) -> Self:
        if self.cross_site == "allow" and "GET" not in self.methods:
            raise ValueError("cross_site: allow is for visits: methods must hold GET")
        return self

    @model_validator(mode="before")
    @classmethod
    def _same_path(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "backend_path" in value:
            return value
        path = value.get("path")
        # A wrong path is the problem of `path` itself.
        if isinstance(path, str) and path.startswith("/"):
            return {**value, "backend_path": path}
        return value

    @model_validator(mode="after")
    def _segments_fit(self) -> Self:
        if not set(path_shapes.names(self.backend_path)) <= set(path_shapes.names(self.path)):
            raise ValueError("backend_path has a segment that path does not have")
        return self
