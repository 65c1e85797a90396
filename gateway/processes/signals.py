"""The signals that the supervisor takes."""

from __future__ import annotations

import signal

# These signals stop the gateway: after a drain, or at once for SIGQUIT and for a second signal.
STOP = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)

# Blocked and taken by `sigtimedwait`, so no handler runs. Process 1 gets no signals without a
# handler otherwise (pid_namespaces(7)). SIGUSR2 does nothing.
# SIGIO is for a connection to the control socket.
SIGNALS = (
    *STOP,
    signal.SIGHUP,
    signal.SIGCHLD,
    signal.SIGIO,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def block_signals() -> None:
    """Block the supervisor's signals until it takes them.

    Children unblock them. An ignored signal is never pending, and the parent may have ignored some:
    `nohup` ignores SIGHUP, other daemons SIGCHLD. SIGINT and SIGQUIT stay ignored if a shell
    ignores them.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    for number in set(SIGNALS) - {signal.SIGINT, signal.SIGQUIT}:
        signal.signal(number, signal.SIG_DFL)


def stop_wanted() -> bool:
    """Whether a signal is pending that stops the gateway."""
    return bool(signal.sigpending() & set(STOP))
