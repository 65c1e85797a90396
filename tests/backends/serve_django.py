"""Django's own server for a project in the working folder: `settings.py` and `urls.py`.

Makes the database and two users, then serves: `python -m tests.backends.serve_django PORT`.
"""

import os
import sys

import django
from django.core.management import call_command


def main(port: str) -> None:
    """Serve on loopback at `port`."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
    django.setup()
    call_command("migrate", verbosity=0)

    from django.contrib.auth.models import User  # noqa: PLC0415 - needs the settings

    for name in ("alice", "bob"):
        User.objects.create_user(name, f"{name}@shop.example", f"{name}'s password")
    call_command("runserver", f"127.0.0.1:{port}", use_reloader=False, skip_checks=True)


if __name__ == "__main__":
    main(sys.argv[1])
