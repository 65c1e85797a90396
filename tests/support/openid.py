"""A real OpenID provider for tests: Django with django-oauth-toolkit, as a process of its own."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.gateway import environment
from tests.support.processes import running


@dataclass
class OpenIdProvider:
    """A running provider; people are alice and bob."""

    port: int
    log: Path

    @property
    def issuer(self) -> str:
        # By its number, and the gateway by its name: so they are two sites for a browser.
        return f"http://127.0.0.1:{self.port}/o"


def client(site: str, path: str, **changes: Any) -> dict[str, Any]:
    """A confidential client whose callback is below a login's path on a site."""
    return {
        "client_id": f"client of {path}",
        "client_secret": "a secret: of two",
        "client_type": "confidential",
        "name": "The shop",
        "redirect_uris": f"{site}{path}/callback",
        "post_logout_redirect_uris": f"{site}/",
        "backchannel": f"{site}{path}/backchannel",
        "by_session": True,
        **changes,
    }


@contextmanager
def openid_provider(
    folder: Path, port: int, *clients: dict[str, Any], token_life: int = 300
) -> Iterator[OpenIdProvider]:
    """Runs one; started again with the same folder, it knows what it knew. `token_life` is that of
    access tokens, in seconds.
    """
    folder.mkdir(exist_ok=True)
    module = "tests.e2e.openid_provider"
    command = [sys.executable, "-m", module, str(port), str(folder), json.dumps(clients)]
    log = folder / "provider.log"
    env = environment(PROVIDER_TOKEN_LIFE=str(token_life))
    with running(command, log=log, port=port, env=env):
        yield OpenIdProvider(port, log)
