"""How processes end: with their parent, so that nothing is left behind, and by what."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

# prctl(2), from <linux/prctl.h>.
_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Has the kernel send SIGTERM to this process when its parent ends (Linux).

    Called in the child, between fork and whatever it does; `parent` is the parent's process id. If
    the parent has ended before, this process ends now.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # the supervisor's mask is not the child's
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os._exit(1)


def describe_end(code: int) -> str:
    """What ended a process: `killed by SIGKILL`, or `exit code 1`; `code` is minus a signal."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal
        return f"killed by signal {-code}"
