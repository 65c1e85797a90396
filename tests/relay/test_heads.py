"""Heads of answers (`gateway.relay.answers.heads`): how dead cookies are forgotten."""

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.relay.answers.heads import final_head, upgraded_head
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.http1.response_head import ResponseReader

DELETIONS = ("sid=; Max-Age=0; Path=/; HttpOnly", "sid=; Max-Age=0; Path=/api; HttpOnly")


def lines(*given: str, in_process: bool) -> list[str]:
    """The Set-Cookie values of an answer with these lines; the request had a dead cookie."""
    data = "\r\n".join(["HTTP/1.1 200 OK", *given, "", ""]).encode()
    response = ResponseReader(own_cookies=()).read(data, len(data) - 4)
    request = RequestHead(b"GET", b"/api/x", b"1")
    request.path, request.deletions = b"/api/x", DELETIONS
    route = SimpleNamespace(
        access=SimpleNamespace(cors=None), action=SimpleNamespace(varies=()), in_process=in_process
    )
    forward: Any = SimpleNamespace(route=route, entry=None)
    head = final_head(response, request, forward, request_id=b"1", framing=b"", close=False)
    opened = upgraded_head(response, request, forward)
    values = [line[12:] for line in head.decode().split("\r\n") if line.startswith("Set-Cookie: ")]
    assert all(f"\r\nSet-Cookie: {value}\r\n".encode() in opened for value in values)
    return values


@pytest.mark.parametrize("in_process", [False, True])
def test_dead_cookies_are_deleted(*, in_process: bool) -> None:
    """In each answer, and in the 101 of a tunnel."""
    assert lines(in_process=in_process) == list(DELETIONS)


def test_what_an_endpoint_sets_is_not_deleted() -> None:
    """A cookie of the same name and place holds a new key by then, or is deleted already."""
    setting = "sid=lk_new; Path=/"
    assert lines(f"Set-Cookie: {setting}", in_process=True) == [setting, DELETIONS[1]]
    setting = "sid=lk_new"  # in the folder of the request
    assert lines(f"Set-Cookie: {setting}", in_process=True) == [setting, DELETIONS[0]]
    other = "theme=dark; Path=/"
    assert lines(f"Set-Cookie: {other}", in_process=True) == [other, *DELETIONS]


def test_no_cache_keeps_a_deletion_for_all() -> None:
    """The public keys of the gateway are for every cache."""
    assert lines("Cache-Control: public, max-age=60", in_process=True) == []
