"""The relay's own answers (`gateway.relay.answers.own_answers`)."""

import json
from typing import Any

import pytest

from gateway.core.http import refusals
from gateway.core.http.cors import Policy
from gateway.pages.refusals import RefusalPages
from gateway.relay.answers import own_answers
from gateway.relay.http1.request_head import RequestHead
from gateway.relay.outcomes import Answered

ID = b"7" * 32
APP = "https://app.example"
SHARED = Policy(frozenset({APP}), ("GET",), (), (), credentials=True, max_age=60)


def refused(head: RequestHead, **more: Any) -> tuple[list[bytes], bytes]:
    """The lines of the refusal of a bad key, and its body."""
    options = {
        "request_id": ID,
        "close": False,
        "policy": None,
        "fields": {},
        "pages": RefusalPages(None),
        **more,
    }
    answer = own_answers.refusal(refusals.BAD_KEY, head, **options)
    lines, _, body = answer.partition(b"\r\n\r\n")
    return lines.split(b"\r\n"), body


def asked(method: bytes = b"GET", *lines: bytes) -> RequestHead:
    head = RequestHead(method, b"/", b"1")
    head.passed = [line + b"\r\n" for line in lines]
    return head


def test_a_program_gets_a_problem() -> None:
    """RFC 9457: with the request's id, by which operators find it in their log."""
    lines, body = refused(asked())
    assert lines[0] == b"HTTP/1.1 401 Unauthorized"
    assert b"Content-Type: application/problem+json" in lines
    assert b"Cache-Control: no-store" in lines
    assert b"Content-Length: %d" % len(body) in lines
    problem = json.loads(body)
    assert (problem["reason"], problem["request_id"]) == ("invalid_key", ID.decode())


def test_a_person_gets_a_page() -> None:
    lines, body = refused(asked(b"GET", b"Accept: text/html", b"Accept-Language: ko"))
    assert b"Content-Type: text/html; charset=utf-8" in lines
    assert b'<html lang="ko"' in body


def test_an_answer_to_head_has_no_body() -> None:
    """But the length of the one that a GET would get (RFC 9110 §9.3.2)."""
    lines, body = refused(asked(b"HEAD"))
    assert body == b""
    assert b"Content-Length: %d" % len(refused(asked())[1]) in lines


def test_more_fields_of_a_refusal() -> None:
    head = asked(b"GET", b"Origin: " + APP.encode())
    head.cookie_settings = ("key=; Max-Age=0",)
    lines, _ = refused(head, policy=SHARED, fields={"Location": "/signin"}, close=True)
    for line in (
        b"Access-Control-Allow-Origin: " + APP.encode(),
        b"Set-Cookie: key=; Max-Age=0",
        b"Location: /signin",
        b"Connection: close",
        b"WWW-Authenticate: " + refusals.BAD_KEY.fields["WWW-Authenticate"].encode(),
    ):
        assert line in lines


def test_bytes_that_are_no_request_are_not_repeated() -> None:
    """The answer holds what the gateway has made itself."""
    answer = own_answers.unread(refusals.MALFORMED, request_id=ID)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert head.endswith(b"\r\nConnection: close")
    assert json.loads(body)["reason"] == "malformed_request"


@pytest.mark.parametrize(("status", "length"), [(204, False), (303, True)])
def test_an_answer_without_a_body(status: int, *, length: bool) -> None:
    """RFC 9110 §8.6: a 204 has no Content-Length."""
    answer = own_answers.answered(
        Answered(status, {"Allow": "GET"}), asked(), request_id=ID, close=False
    )
    assert answer.endswith(b"\r\n\r\n")
    assert b"\r\nAllow: GET\r\n" in answer
    assert (b"\r\nContent-Length: 0\r\n" in answer) == length


def test_a_field_stands_once_however_it_is_spelled() -> None:
    """RFC 9110 §5.1: names have no case. What a route and CORS vary by is one list."""
    head = asked(b"GET", b"Origin: " + APP.encode())
    head.query_key = (b"key", b"1")
    fields = {"vary": "Accept", "referrer-policy": "unsafe-url"}
    answer = own_answers.answered(
        Answered(200, fields), head, request_id=ID, close=False, policy=SHARED
    )
    lines = answer.lower().split(b"\r\n")
    assert [line for line in lines if line.startswith((b"vary", b"referrer"))] == [
        b"vary: accept, origin",
        b"referrer-policy: no-referrer",
    ]
