"""Frameworks below `strip_prefix`, with HTTPS in front of the gateway: the URLs that they build."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from tests.backends.blocks import documented
from tests.backends.conftest import APPS
from tests.backends.site import Reply, Site
from tests.support.gateway import environment, gateway
from tests.support.processes import free_port, running
from tests.support.redis_server import RedisServer

_UVICORN = "-m uvicorn fastapi_app:app --root-path /fastapi --proxy-headers --port"
_GUNICORN = "-m gunicorn --threads 2"

# How each is started; its port follows.
_BACKENDS = {
    "fastapi": [sys.executable, *_UVICORN.split()],
    "flask": [sys.executable, *_GUNICORN.split(), "flask_app:app", "--bind"],
    "django": [sys.executable, *_GUNICORN.split(), "django_app", "--bind"],
    "express": ["node", "express_app.js"],
}

# What a proxy in front that ends HTTPS sends.
_FRONT = {
    "Host": "shop.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-For": "203.0.113.9",
}


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, redis: RedisServer, node_modules: Path
) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("prefix")
    shutil.copytree(APPS / "behind_a_prefix", folder, dirs_exist_ok=True)
    (folder / "node_modules").symlink_to(node_modules)
    with ExitStack() as stack:
        upstreams = {}
        for name, command in _BACKENDS.items():
            port = free_port()
            address = f"127.0.0.1:{port}" if command[-1] == "--bind" else str(port)
            stack.enter_context(
                running(
                    [*command, address],
                    log=folder / f"{name}.log",
                    port=port,
                    env=environment(PORT=str(port)),
                    cwd=folder,
                )
            )
            upstreams[name] = f"http://127.0.0.1:{port}"
        sections = yaml.safe_load(documented("test_behind_a_prefix.py", "yaml"))
        assert list(sections["upstreams"]) == list(upstreams)
        sections["upstreams"] = upstreams
        front = stack.enter_context(gateway(folder / "gateway", redis.url, **sections))
        yield Site(front, front.port)


def get(site: Site, path: str) -> Reply:
    return site.ask("GET", path, headers=_FRONT)


@pytest.mark.parametrize("name", list(_BACKENDS))
def test_urls_are_those_of_clients(site: Site, name: str) -> None:
    """The scheme, the host and the prefix in a URL, once; the client's address; a cookie's path."""
    reply = get(site, f"/{name}/where/")
    assert reply.json["url"] == f"https://shop.example/{name}/where/"
    assert reply.json["client"] == "203.0.113.9"
    assert f"path=/{name}" in reply.headers["Set-Cookie"].lower().split("; ")


@pytest.mark.parametrize("name", list(_BACKENDS))
def test_redirects_lead_to_the_page(site: Site, name: str) -> None:
    """Those of the code; and, but for Express, those that add a slash, which frameworks do."""
    paths = [f"/{name}/go"] if name == "express" else [f"/{name}/go", f"/{name}/where"]
    for path in paths:
        location = get(site, path).headers["Location"]
        assert location.removeprefix("https://shop.example") == f"/{name}/where/"


def test_djangos_csrf_check_knows_the_origin(site: Site) -> None:
    """It compares `Origin` with the scheme and host that it was asked at."""
    page = get(site, "/django/where/")
    headers = {
        **_FRONT,
        "Origin": "https://shop.example",
        "X-CSRFToken": page.json["csrf"],
    }
    posted = site.ask("POST", "/django/go", headers=headers, cookies=page.cookies)
    assert (posted.status, posted.body) == (200, b"posted")
    headers["Origin"] = "https://evil.example"
    assert site.ask("POST", "/django/go", headers=headers, cookies=page.cookies).status == 403
