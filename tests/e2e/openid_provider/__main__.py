"""Makes the key and the database, adds users and clients, and serves."""

import json
import os
import sys
from pathlib import Path

import django
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.core.management import call_command


def main(port: str, folder: str, clients: str) -> None:
    """`clients` is JSON: a list of what the toolkit's applications take, with their `backchannel`,
    and whether they are told there which session has ended (`by_session`).
    """
    make_key(Path(folder) / "key.pem")
    os.environ["PROVIDER_FOLDER"] = folder
    os.environ["PROVIDER_CLIENTS"] = clients
    os.environ["PROVIDER_ISSUER"] = f"http://127.0.0.1:{port}/o"
    os.environ.setdefault("PROVIDER_TOKEN_LIFE", "300")
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.e2e.openid_provider.settings"
    django.setup()
    call_command("migrate", verbosity=0)
    add_users()
    for client in json.loads(clients):
        add_client(client)

    import tests.e2e.openid_provider.backchannel  # noqa: F401 (it listens to logouts)

    call_command("runserver", f"127.0.0.1:{port}", use_reloader=False, skip_checks=True)


def make_key(file: Path) -> None:
    if file.exists():
        return
    key = rsa.generate_private_key(65537, 2048)
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def add_users() -> None:
    from django.contrib.auth.models import User

    for name in ("alice", "bob"):
        if not User.objects.filter(username=name).exists():
            User.objects.create_user(name, f"{name}@id.example", f"{name}'s password")


def add_client(client: dict) -> None:
    from oauth2_provider.models import get_application_model

    own = ("backchannel", "by_session")
    fields = {name: value for name, value in client.items() if name not in own}
    applications = get_application_model().objects
    if not applications.filter(client_id=client["client_id"]).exists():
        applications.create(
            authorization_grant_type="authorization-code", algorithm="RS256", **fields
        )


main(*sys.argv[1:])
