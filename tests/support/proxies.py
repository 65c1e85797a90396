"""nginx and other programs of Debian's that stand between clients and gateways."""

import shutil
from pathlib import Path

# Runs as any user, in one process, with its files in a folder.
_NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log stderr warn;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  {http}
}}
"""


def program(name: str) -> str:
    """Where a program is; some of Debian's are not on every PATH."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    assert found, f"{name} is missing: install Debian's package {name}"
    return found


def nginx(folder: Path, http: str) -> list[str]:
    """The command of an nginx, whose section `http` says this as well."""
    file = folder / "nginx-of-the-test.conf"
    file.write_text(_NGINX.format(folder=folder, http=http))
    return [program("nginx"), "-c", str(file)]
