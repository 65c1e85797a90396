"""`gateway run`: the gateway in the foreground."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from gateway.cli.arguments import EXIT_FAILED, EXIT_USAGE, fail
from gateway.config.files import Mark
from gateway.config.load_isolated import ConfigReader, load_in_child
from gateway.config.problems import ConfigError
from gateway.observe.sinks import STDERR, Sink, SinkHandler
from gateway.processes.control import Control
from gateway.processes.errors import StartError
from gateway.processes.file_watch import FileWatch
from gateway.processes.forking import preload
from gateway.processes.inherited import take_inherited
from gateway.processes.signals import stop_wanted
from gateway.processes.supervisor import Supervisor


def run(options: argparse.Namespace) -> int:
    """Serve until a signal ends it. The exit code.

    The caller has blocked the signals (`block_signals`).
    """
    _hold_standard_streams()
    stderr = Sink(STDERR, "stderr")
    logging.basicConfig(
        level=logging.INFO,
        handlers=[SinkHandler(stderr)],
        format="%(asctime)s %(name)s %(levelname)s %(message)s",
    )
    # aiohttp logs each request line of the in-process endpoints; the relay's log has them already.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)

    def say(text: str) -> None:
        stderr.write(f"gateway: {text}\n".encode(errors="replace"))

    def read(seconds: float) -> ConfigReader:
        return ConfigReader(options.config, seconds=seconds)

    files: dict[str, Mark] = {}
    try:
        inherited = take_inherited(os.environ)
        config = load_in_child(
            options.config, is_interrupted=stop_wanted, meanwhile=preload, read_files=files
        )
        control = Control(options.config, say)
        supervisor = Supervisor(
            config=config,
            read=read,
            say=say,
            files=FileWatch(files),
            control=control,
            inherited=inherited,
        )
        return supervisor.run()
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_USAGE
    except StartError as error:
        return fail(str(error), EXIT_FAILED)


def _hold_standard_streams() -> None:
    """Open /dev/null for each standard stream that is closed.

    A socket would take the stream's number otherwise, and logs would be written to it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this stream's
            setattr(sys, name, os.fdopen(number, "w" if number else "r"))
