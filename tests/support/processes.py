"""Processes that tests start: on loopback, on a free port, ended by their own id."""

import fcntl
import os
import random
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

HANG = 20.0  # seconds after which something that should have happened counts as never


# How long a process may take to start, in seconds: a gateway takes one of a core, and many start
# at once.
_START = 3 * HANG

# Below the ports of outgoing connections (Linux: from 32768), for one of these could take a port
# between its choice and its use.
_PORTS = range(20_000, 32_000)

# Names the last port that was given. All processes that run tests take the next one in turn, so a
# port is given again when 12,000 others have been, long after a server has bound it.
_LAST_PORT = Path(tempfile.gettempdir()) / f"latchkey-tests-{os.getuid()}.port"


def free_port() -> int:
    """A TCP port on loopback that is not in use, and that no other call has just given."""
    while True:
        port = _next_port()
        with socket.socket() as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


def _next_port() -> int:
    with _LAST_PORT.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        last = int(file.read() or random.choice(_PORTS))
        port = _PORTS[(last + 1 - _PORTS.start) % len(_PORTS)]
        file.truncate(0)
        file.write(str(port))
    return port


def eventually(condition: Callable[[], object]) -> None:
    """Waits until a condition holds."""
    until = time.monotonic() + HANG
    while not condition():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process is there and has not ended; one that is not waited for yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def processor_time(pid: int) -> float:
    """Seconds that a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """The memory of a process that is in use."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def wait_for_port(port: int, process: subprocess.Popen[bytes] | None = None) -> None:
    """Returns as soon as something listens."""
    until = time.monotonic() + _START
    while time.monotonic() < until:
        if process is not None and process.poll() is not None:
            raise AssertionError(f"the process ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"nothing listens on port {port}")


@contextmanager
def running(
    command: Sequence[str],
    *,
    log: Path,
    port: int | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives as long as the block, with its output in `log`.

    One that does not end when it is asked to is killed, and fails the test.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=env, cwd=cwd
        )
    try:
        if port is not None:
            try:
                wait_for_port(port, process)
            except AssertionError as error:
                raise AssertionError(f"{error}:\n{log.read_text()[-2000:]}") from None
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a process. One that does not end when it is asked to is killed: an AssertionError."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(HANG)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise AssertionError(f"{process.args!r} had to be killed") from None
