"""A module's backend, with the gateway in front that the docs configure for it."""

import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.backends import node
from tests.backends.blocks import configuration, documented
from tests.backends.site import JWT_SECRET, Backend, Site
from tests.support.gateway import environment, gateway
from tests.support.processes import free_port, running
from tests.support.redis_server import RedisServer

APPS = Path(__file__).parent / "apps"


@pytest.fixture(scope="session")
def node_modules(pytestconfig: pytest.Config) -> Path:
    """The folder with all Node libraries."""
    cache = pytestconfig.cache
    assert cache is not None
    return node.install(cache.mkdir("node"))


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
    if program == "node":
        (folder / "node_modules").symlink_to(request.getfixturevalue("node_modules"))
    else:
        assert program == "python"
        program = sys.executable
    with (
        running(
            [program, *arguments],
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
        yield Site(front, port)


@pytest.fixture
def frontend(
    request: pytest.FixtureRequest, tmp_path: Path, node_modules: Path
) -> Callable[..., str]:
    """Runs `main.mjs` of a folder in `apps` with variables; it must end well.

    Beside it stands `documented.mjs`, the block in JavaScript that the docs show for the module.
    """

    def run(folder: str, **variables: str) -> str:
        shutil.copytree(APPS / folder, tmp_path, dirs_exist_ok=True)
        (tmp_path / "node_modules").symlink_to(node_modules)
        code = documented(request.path.name, "js")
        if code is not None:
            (tmp_path / "documented.mjs").write_text(code)
        return node.run(tmp_path / "main.mjs", **variables)

    return run
