"""A backend with a gateway in front of it, and what clients send to both."""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.support.gateway import Gateway
from tests.support.processes import HANG

# What the backends sign with. The documented configurations name it `${JWT_SECRET}`.
JWT_SECRET = "the backend's own secret, at least 32 bytes"


@dataclass(frozen=True)
class Backend:
    """How to start a backend.

    folder: its code, in `apps`; a copy of it is the working folder.
    command: begins with `python`, `node` or `java`, which Maven builds. `{port}` and the variable
        PORT are its port.
    scheme: what its frontends write before a token in `Authorization`.
    """

    folder: str
    command: str
    scheme: str = "Bearer"


@dataclass(frozen=True)
class Reply:
    """An answer to a client."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that it sets, by name; deleted ones are empty."""
        lines = self.headers.get_all("Set-Cookie", [])
        pairs = (line.split(";")[0].partition("=") for line in lines)
        return {name: value for name, _, value in pairs}


@dataclass
class Site:
    """The gateway, and the backend behind it."""

    front: Gateway
    backend_port: int
    scheme: str = "Bearer"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.front.port}"

    def ask(
        self,
        method: str,
        path: str,
        *,
        data: Any = None,
        form: Mapping[str, str] | None = None,
        key: str = "",
        cookies: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        directly: bool = False,
    ) -> Reply:
        """Send a request to the gateway and return the answer.

        data, form: the body, as JSON or as a form.
        key: sent in `Authorization`, with the site's scheme.
        directly: whether it goes to the backend, past the gateway.
        """
        fields = dict(headers or {})
        body = None
        if data is not None:
            body, fields["Content-Type"] = json.dumps(data), "application/json"
        if form is not None:
            body, fields["Content-Type"] = urlencode(form), "application/x-www-form-urlencoded"
        if key:
            fields["Authorization"] = f"{self.scheme} {key}"
        if cookies:
            fields["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        port = self.backend_port if directly else self.front.port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG)
        try:
            connection.request(method, path, body=body, headers=fields)
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        finally:
            connection.close()
