"""Messages as transcripts: what differs from run to run is written in angle brackets."""

import re
import textwrap

VARIABLE = (
    (rb"lk_[A-Za-z0-9_-]{49}", b"<key>"),
    (rb"eyJ[A-Za-z0-9._-]+", b"<token>"),
    (rb"(?i)(X-Request-Id): [0-9a-f]+", b"X-Request-Id: <id>"),
    (rb'(?<="request_id": ")[0-9a-f]+', b"<id>"),
    (rb"traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-01", b"traceparent: <trace>"),
    (rb"latchkey \([0-9a-f]{16}\)", b"latchkey (<gateway>)"),
    (rb"Date: [^\r]+", b"Date: <now>"),
)

# What the gateway tells every upstream.
TOLD = """
    X-Forwarded-For: 127.0.0.1
    X-Real-IP: 127.0.0.1
    X-Forwarded-Proto: http
    X-Forwarded-Host: a.example
    Via: 1.1 latchkey (<gateway>)
    X-Request-Id: <id>
    traceparent: <trace>
"""


def crlf(text: str, **values: str) -> bytes:
    """A transcript as bytes."""
    text = textwrap.dedent(text).removeprefix("\n")
    for name, value in values.items():
        text = text.replace(f"<{name}>", value)
    return text.replace("\n", "\r\n").encode()


def assert_same(got: bytes, *expected: str) -> None:
    """Compares messages: start line, fields in any order, and body."""
    for pattern, name in VARIABLE:
        got = re.sub(pattern, name, got)
    transcript = "".join(textwrap.dedent(text).removeprefix("\n") for text in expected)
    assert _sorted(got.replace(b"\r\n", b"\n").decode()) == _sorted(transcript)


def _sorted(message: str) -> tuple[str, list[str], str]:
    head, _, body = message.partition("\n\n")
    first, *fields = head.rstrip("\n").split("\n")
    return first, sorted(fields), body
