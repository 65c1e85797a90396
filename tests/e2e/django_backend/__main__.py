"""Makes the database, adds a user and serves."""

import os
import sys

import django
from django.core.management import call_command


def main(port: str, database: str) -> None:
    os.environ["DJANGO_DATABASE"] = database
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.e2e.django_backend.settings"
    django.setup()
    call_command("migrate", verbosity=0)

    from django.contrib.auth.models import User

    for name in ("alice", "bob"):
        User.objects.create_user(name, password=f"{name}'s password")
    call_command("runserver", f"127.0.0.1:{port}", use_reloader=False, skip_checks=True)


main(*sys.argv[1:])
