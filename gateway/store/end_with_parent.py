"""How processes end: with their parent, and by which signal or exit code."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

# prctl(2), from <linux/prctl.h>.
_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Have Linux send SIGTERM to this process when its parent ends.

    Call it in the child, right after the fork; `parent` is the parent's process id. If the parent
    has ended already, this process ends at once.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the supervisor's mask is not the child's
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


def describe_end(code: int) -> str:
    """The end of a process in words: `killed by SIGKILL`, or `exit code 1`.

    code: an exit code, or a signal's number with a minus sign
    """
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal
        return f"killed by signal {-code}"
