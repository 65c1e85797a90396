"""What a log says of the store's errors."""

import hiredis
import pytest
from redis._parsers.base import BaseParser

from gateway.store.errors import error_text


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("MISCONF Redis is configured to save RDB snapshots", "ResponseError MISCONF"),
        ("OOM command not allowed when used memory > 'maxmemory'", "OutOfMemoryError OOM"),
        ("READONLY You can't write against a read only replica.", "ReadOnlyError READONLY"),
        ("NOPERM this user has no permissions", "NoPermissionError NOPERM"),
        ("WRONGPASS invalid username-password pair", "AuthenticationError WRONGPASS"),
        ("ERR unknown command 'x', with args beginning with: 'secret'", "ResponseError ERR"),
        ("secret in the first word", "ResponseError"),
    ],
)
def test_a_reply(reply: str, expected: str) -> None:
    """The type and Redis' code; never the text, which may quote a command."""
    error = BaseParser.parse_error(reply)  # type: ignore[no-untyped-call]
    assert error_text(error) == expected


def test_other_errors() -> None:
    """Errors of the look-ups' own connection have a code, too; those of the system have none."""
    assert error_text(hiredis.ReplyError("MISCONF no")) == "ReplyError MISCONF"
    assert error_text(ConnectionResetError("SECRET")) == "ConnectionResetError"
