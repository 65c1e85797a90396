"""What TLS connections to others are made with."""

from __future__ import annotations

import ssl


def client_context(
    ca_file: str | None, cert_file: str | None, key_file: str | None, *, verify: bool
) -> ssl.SSLContext:
    """A context that trusts `ca_file` or, without one, the system's authorities; `cert_file` and
    `key_file` are shown to a server that asks who we are.

    Raises `OSError` when a file cannot be used (`ssl.SSLError` is one).
    """
    context = ssl.create_default_context(cafile=ca_file)
    if cert_file is not None:
        # An encrypted key would have OpenSSL ask for its password on the terminal.
        context.load_cert_chain(cert_file, key_file, password="")
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
