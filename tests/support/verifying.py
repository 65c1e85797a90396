"""A backend that says who may log in, and verifies tokens by the gateway's own key set.

It blocks like Flask or Django do, with a thread for each connection, and asks over real HTTP.
"""

import contextlib
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt

PASSWORD = "wonderland"


@dataclass
class Verifying:
    """What the backend demands, and what it has seen."""

    url: str = ""
    keys: Any = None  # a PyJWKClient, or the secret of HS256
    audience: str | None = None
    issuer: str = "https://gateway.example"
    roles: dict[str, str] = field(default_factory=dict)  # by name; others are users
    echo: bool = False  # sends the token back in a field, which no client may see
    seen: list[str] = field(default_factory=list)  # the tokens that came
    refused: list[str] = field(default_factory=list)  # why some of them were

    def trust(self, gateway_port: int) -> None:
        """Takes the keys that a gateway shows, without anything remembered of others."""
        url = f"http://127.0.0.1:{gateway_port}/.well-known/jwks.json"
        self.keys = jwt.PyJWKClient(url, cooldown_duration=0)

    def log_in(self, name: str, password: str) -> tuple[int, Any]:
        if password != PASSWORD:
            return 401, {"detail": "wrong"}
        return 200, {"user": {"id": name, "role": self.roles.get(name, "user")}}

    def verify(self, token: str) -> tuple[int, Any]:
        self.seen.append(token)
        by: Any = self.keys
        try:
            if isinstance(self.keys, jwt.PyJWKClient):
                by = self.keys.get_signing_key_from_jwt(token)
            payload = jwt.decode(
                token,
                by,
                algorithms=["HS256"] if isinstance(by, str) else ["RS256", "ES256", "EdDSA"],
                audience=self.audience,
                issuer=self.issuer,
                options={"require": ["iss", "sub", "iat", "nbf", "exp", "jti"]},
            )
        except jwt.PyJWTError as error:
            self.refused.append(type(error).__name__)
            return 401, {"detail": self.refused[-1]}
        return 200, payload


class _Server(ThreadingHTTPServer):
    """Takes as many connections at once as servers do, and no offence at those that end."""

    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def verifying() -> Iterator[Verifying]:
    """The backend on a free port of loopback."""
    backend = Verifying()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_GET(self) -> None:
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            self._answer(*backend.verify(token), token if backend.echo else "")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path != "/login":
                self.do_GET()
                return
            given = json.loads(body)
            self._answer(*backend.log_in(given["username"], given.get("password", PASSWORD)))

        def _answer(self, status: int, data: Any, echo: str = "") -> None:
            body = json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if echo:
                self.send_header("X-Echo", echo)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with _Server(("127.0.0.1", 0), Handler) as server:
        backend.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield backend
        finally:
            server.shutdown()
            thread.join()
