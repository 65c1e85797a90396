"""Why a connection failed, in words for the log."""

from __future__ import annotations

import os
import socket
import ssl

BAD_STATUS = "the status is not within 100 and 599 (RFC 9110 §15)"


def cause(error: BaseException) -> str:
    """What the system, the resolver or TLS says of it."""
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
