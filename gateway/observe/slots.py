"""The folder of the workers' metrics, and the slots in it.

It needs no metrics library.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable
from itertools import count
from pathlib import Path


def reloads_file(folder: str) -> Path:
    """The file with the supervisor's numbers, beside the workers' folder."""
    return Path(f"{folder}-reloads")


class Slots:
    """A private folder with files for each living worker."""

    def __init__(self) -> None:
        self.folder = ""
        self._reloads_file = -1
        self._last_succeeded = True
        self._reloads = {True: 0, False: 0}

    def make(self) -> None:
        """Make the folder, also after it was cleaned away.

        `remove` must follow at the end. Without room on the disk there is no folder, and each
        worker counts for itself.
        """
        try:
            if not (self.folder and Path(self.folder).is_dir()):
                self.remove()
                self.folder = tempfile.mkdtemp(prefix="latchkey-metrics-")
            if not reloads_file(self.folder).exists():
                self._open_reloads()
        except OSError:
            self.remove()

    def _open_reloads(self) -> None:
        """Hold the file open: a reload may fail since no file can be opened.

        Raises `OSError`.
        """
        self._close_reloads()
        self._reloads_file = os.open(reloads_file(self.folder), os.O_WRONLY | os.O_CREAT, 0o600)
        self._write_reloads()

    def _close_reloads(self) -> None:
        if self._reloads_file >= 0:
            os.close(self._reloads_file)
        self._reloads_file = -1

    def note_reload(self, *, succeeded: bool) -> None:
        """Count a reload."""
        self._last_succeeded = succeeded
        self._reloads[succeeded] += 1
        self._write_reloads()

    def _write_reloads(self) -> None:
        """Write Prometheus's text, which a worker appends to its own."""
        lines = [
            "# HELP latchkey_config_last_reload_successful 1 unless the last reload failed.",
            "# TYPE latchkey_config_last_reload_successful gauge",
            f"latchkey_config_last_reload_successful {float(self._last_succeeded)}",
            "# HELP latchkey_config_reloads_total Reloads of the configuration.",
            "# TYPE latchkey_config_reloads_total counter",
            f'latchkey_config_reloads_total{{result="ok"}} {float(self._reloads[True])}',
            f'latchkey_config_reloads_total{{result="failed"}} {float(self._reloads[False])}',
        ]
        text = "".join(f"{line}\n" for line in lines).encode()
        with contextlib.suppress(OSError):  # the same length, but for a digit more: never cut off
            os.pwrite(self._reloads_file, text, 0)

    def free(self, taken: Iterable[int]) -> int:
        """The first slot that no living worker has."""
        used = set(taken)
        return next(slot for slot in count() if slot not in used)

    def left(self, slot: int) -> None:
        """Keep the counts of a worker that has ended, and remove its gauges."""
        if not self.folder:
            return
        for file in Path(self.folder).glob(f"gauge_live*_{slot}.db"):
            file.unlink(missing_ok=True)

    def remove(self) -> None:
        self._close_reloads()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                reloads_file(self.folder).unlink(missing_ok=True)
        self.folder = ""
