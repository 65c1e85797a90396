"""Why a connection failed, for the log."""

from __future__ import annotations

import errno
import os
import socket
import ssl

# What this machine lacks, and no server is to blame for: descriptors, or memory.
_OUR_OWN = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

# What no restart explains, or what has taken all the time that there is: not tried again.
_LASTING = (TimeoutError, ssl.SSLError, PermissionError)

# What may be wrong with the head of an answer.
LONG_HEAD = "its head is over limits.response_head_size"
UNASKED_SWITCH = "it switches protocols unasked (RFC 9110 §15.2.2)"
BAD_STATUS = "the status is not within 100 and 999 (RFC 9110 §15)"


def cause(error: BaseException) -> str:
    """The reason that the system, the resolver or TLS gives."""
    match error:
        case ssl.SSLCertVerificationError():
            return f"TLS: {error.verify_message}"
        case ssl.SSLError():
            return f"TLS: {(error.reason or 'the handshake failed').replace('_', ' ').lower()}"
        case socket.gaierror():
            return f"its name cannot be resolved: {error.strerror}"
        case OSError(errno=int(number)):
            return os.strerror(number)
        case TimeoutError():
            return "timed out"
    return str(error) or type(error).__name__


def is_our_own(error: BaseException) -> bool:
    """Whether this machine, and no server, is why there is no connection."""
    return isinstance(error, OSError) and error.errno in _OUR_OWN


def may_pass(error: BaseException) -> bool:
    """Whether a server that cannot be reached may be restarting."""
    return not isinstance(error, _LASTING)
