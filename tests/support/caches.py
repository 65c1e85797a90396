"""Shared caches in front of a gateway, as sites run them: Squid and nginx, each on a free port."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import proxies
from tests.support.processes import free_port, running

# An accelerator that keeps answers in memory, and hands Authorization on; all else as Squid comes.
_SQUID = """
http_port 127.0.0.1:{port} accel defaultsite=shop.example
cache_peer 127.0.0.1 parent {gateway} 0 no-query originserver login=PASSTHRU
http_access allow all
cache_mem 8 MB
memory_cache_shared off
pinger_enable off
pid_filename none
access_log none
cache_log /dev/null
shutdown_lifetime 0 seconds
"""

# What says nothing of caches is kept for a minute, as many sites have it.
_NGINX = """
proxy_cache_path {folder}/cache keys_zone=shared:1m;
server {{
  listen 127.0.0.1:{port};
  location / {{
    proxy_pass http://127.0.0.1:{gateway};
    proxy_set_header Host shop.example;
    proxy_cache shared;
    proxy_cache_valid 200 1m;
  }}
}}
"""


@contextmanager
def squid(folder: Path, gateway: int) -> Iterator[int]:
    """Squid's port, in front of the gateway's. Two at once need names, for their shared memory."""
    port = free_port()
    file = folder / "squid.conf"
    file.write_text(_SQUID.format(port=port, gateway=gateway))
    command = [proxies.program("squid"), "-N", "-d", "1", "-n", f"test{port}", "-f", str(file)]
    with running(command, log=folder / "squid.log", port=port):
        yield port


@contextmanager
def nginx(folder: Path, gateway: int) -> Iterator[int]:
    """The port of an nginx with `proxy_cache`, in front of the gateway's."""
    port = free_port()
    command = proxies.nginx(folder, _NGINX.format(folder=folder, port=port, gateway=gateway))
    with running(command, log=folder / "nginx.log", port=port):
        yield port
