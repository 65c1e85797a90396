"""Refusals and faults of the endpoints."""

import json
import logging

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.core.http.refusals import Refusal
from gateway.endpoints.answers import REFUSED, refusals_as_problems, without_server_field
from tests.support.endpoints import World


async def test_an_unknown_path_is_a_problem(place: World) -> None:
    """What the relay would not send here is refused like everything else (RFC 9457)."""
    status, headers, body = await place.ask("GET", "/nothing", X_Request_Id="r-9")
    assert (status, headers["Content-Type"]) == (404, "application/problem+json")
    assert json.loads(body)["request_id"] == "r-9"
    assert "Server" not in headers


async def test_a_fault_shows_nothing_of_its_inside(caplog: pytest.LogCaptureFixture) -> None:
    """The answer says nothing, and the log says where, without the error's own text."""

    async def broken(_request: web.Request) -> web.Response:
        raise RuntimeError("the client's secret")

    app = web.Application(middlewares=[refusals_as_problems])
    counted: list[Refusal] = []
    app[REFUSED] = counted.append
    app.on_response_prepare.append(without_server_field)
    app.router.add_get("/", broken)
    async with TestClient(TestServer(app)) as client:
        answer = await client.get("/")
        text = await answer.text()
    assert (answer.status, json.loads(text)["reason"]) == (500, "internal_error")
    assert "secret" not in text
    assert [refusal.reason for refusal in counted] == ["internal_error"]
    lines = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(lines) == 1
    assert "RuntimeError" in lines[0].getMessage()
    assert "in broken" in lines[0].getMessage()
    assert "the client's secret" not in caplog.text.replace(
        'raise RuntimeError("the client\'s secret")', ""
    )
