"""TLS contexts for connections to upstreams, stores and providers."""

from __future__ import annotations

import ssl


def client_context(
    ca_file: str | None, cert_file: str | None, key_file: str | None, *, verify: bool
) -> ssl.SSLContext:
    """Create a TLS context of a client.

    ca_file: the authorities to trust; None for those of the system
    cert_file, key_file: the client certificate for servers that ask for one
    verify: whether the server's certificate and name are checked

    Raises `OSError` if a file cannot be used (`ssl.SSLError` is a subclass).
    """
    context = ssl.create_default_context(cafile=ca_file)
    if cert_file is not None:
        # Without a password OpenSSL would ask on the terminal for that of an encrypted key.
        context.load_cert_chain(cert_file, key_file, password="")
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
