"""Where the workers' metrics are kept, and which worker writes to what; without the library."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from itertools import count
from pathlib import Path


class Slots:
    """A private folder with files for each worker that lives."""

    folder = ""

    def make(self) -> None:
        """Makes the folder; from then on somebody has to `remove` it."""
        self.folder = tempfile.mkdtemp(prefix="latchkey-metrics-")

    def free(self, taken: Iterable[int]) -> int:
        """The first slot that no living worker has."""
        used = set(taken)
        return next(slot for slot in count() if slot not in used)

    def left(self, slot: int) -> None:
        """A worker has ended: what it counted stays, but how it was is no more."""
        for file in Path(self.folder).glob(f"gauge_live*_{slot}.db"):
            file.unlink(missing_ok=True)

    def remove(self) -> None:
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
