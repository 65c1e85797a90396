"""A module's backend, with the gateway in front that the docs configure for it."""

import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends.blocks import code, configuration
from tests.backends.building import MAVEN_COMPILE, NPM_CI, built
from tests.backends.frontends import Page, Program
from tests.backends.site import JWT_SECRET, Backend, Site
from tests.support.chromium import chromium
from tests.support.gateway import environment, gateway
from tests.support.processes import free_port, running
from tests.support.redis_server import RedisServer

FOLDER = Path(__file__).parent
APPS = FOLDER / "apps"

# A JVM that starts quickly and remains small.
JAVA = ("java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m")


@pytest.fixture(scope="session")
def build_cache(pytestconfig: pytest.Config) -> Path:
    """The folder of what npm and Maven build; `make clean` removes it."""
    assert pytestconfig.cache is not None
    return pytestconfig.cache.mkdir("backends")


@pytest.fixture(scope="session")
def node_modules(build_cache: Path) -> Path:
    """The folder with all Node libraries."""
    return built(FOLDER / "node", NPM_CI, build_cache) / "node_modules"


@pytest.fixture(scope="module")
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, redis: RedisServer
) -> Iterator[Site]:
    """The module's `BACKEND`, and the gateway as the block of the docs for this module says."""
    backend: Backend = request.module.BACKEND
    folder = tmp_path_factory.mktemp(backend.folder)
    shutil.copytree(APPS / backend.folder, folder, dirs_exist_ok=True)
    port = free_port()
    program, *arguments = shlex.split(backend.command.format(port=port))
    with (
        running(
            [*_program(program, backend, folder, request), *arguments],
            log=folder / "backend.log",
            port=port,
            env=environment(PORT=str(port), JWT_SECRET=JWT_SECRET),
            cwd=folder,
        ),
        gateway(
            folder / "gateway",
            redis.url,
            env={"JWT_SECRET": JWT_SECRET},
            **configuration(request.path.name, f"http://127.0.0.1:{port}"),
        ) as front,
    ):
        yield Site(front, port, backend.scheme)


def _program(
    name: str, backend: Backend, folder: Path, request: pytest.FixtureRequest
) -> list[str]:
    """Return how `python`, `node` or `java` starts, with its libraries."""
    if name == "node":
        (folder / "node_modules").symlink_to(request.getfixturevalue("node_modules"))
        return [name]
    if name == "java":
        source, cache = APPS / backend.folder, request.getfixturevalue("build_cache")
        target = built(source, MAVEN_COMPILE, cache) / "target"
        return [*JAVA, "-cp", f"{target / 'classes'}:{target / 'dependency'}/*"]
    assert name == "python"
    return [sys.executable]


@pytest.fixture(scope="module")
def page(
    request: pytest.FixtureRequest, site: Site, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Page]:
    """A page of the site's in a browser, with the code that the docs show for this module."""
    with chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield Page(browser, site.url, code(request.path.name, site.url))


@pytest.fixture
def program(
    request: pytest.FixtureRequest, site: Site, tmp_path: Path, node_modules: Path
) -> Program:
    """A program for Node, with the code that the docs show for this module."""
    (tmp_path / "node_modules").symlink_to(node_modules)
    return Program(tmp_path, site.url, code(request.path.name, site.url))
