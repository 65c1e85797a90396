"""Requests of callers with a credential, and what a proxy asks about them."""


def request(path: str, credential: str, *lines: str) -> bytes:
    """A GET with a bearer credential, the only one of its connection."""
    fields = "".join(f"{line}\r\n" for line in lines)
    return (
        f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        f"Authorization: Bearer {credential}\r\n{fields}\r\n"
    ).encode()


def question(path: str, credential: str) -> bytes:
    """A proxy's question about the same request."""
    lines = (f"X-Forwarded-Uri: {path}", "X-Forwarded-Method: GET")
    return request("/.well-known/latchkey/verify", credential, *lines)
