"""The demo, as `make run` starts it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.gateway import REPOSITORY, environment
from tests.support.processes import HANG, free_port, running


@dataclass
class Demo:
    """The demo, running."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path


def own_config(folder: Path, name: str = "config.yaml") -> dict[str, Any]:
    """What a file of the repository's says, with ports and data of the test's own."""
    config: dict[str, Any] = yaml.safe_load((REPOSITORY / name).read_text())
    backend = f"http://127.0.0.1:{free_port()}"
    config["listen"] = f"127.0.0.1:{free_port()}"
    config["admin"] = {"listen": f"127.0.0.1:{free_port()}"}
    config["store"] = {"url": "embedded", "data_dir": str(folder / "data")}
    config["upstreams"] = dict.fromkeys(config["upstreams"], backend)
    for login in config["login"]:
        if "file" in login:
            login["file"] = str((REPOSITORY / name).with_name(login["file"]))
    return config


def command(folder: Path, config: dict[str, Any]) -> list[str]:
    """What runs the demo on a config."""
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    return [sys.executable, "-m", "demo", "-c", str(file)]


@contextmanager
def running_demo(folder: Path, name: str = "config.yaml", **env: str) -> Iterator[Demo]:
    """`python -m demo`, until the block ends. `env` is what its environment has besides."""
    config, log = own_config(folder, name), folder / "demo.log"
    port = config["listen"].rpartition(":")[2]
    with running(command(folder, config), log=log, env=environment(**env)) as process:
        until = time.monotonic() + HANG
        while "Latchkey runs" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        yield Demo(f"http://localhost:{port}", process, log)
