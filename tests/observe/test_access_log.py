"""Lines of the access log (`gateway.observe.access_log`)."""

import json
from pathlib import Path

import pytest

from gateway.core.http import refusals
from gateway.observe.access_log import AccessLog, open_log, render
from gateway.observe.access_record import AccessRecord, Records, refused_record

RECORD = AccessRecord(
    ended=1_700_000_000.25,
    client=b"192.0.2.1",
    method=b"GET",
    route=b"/api/*",
    path=b"/api/me",
    status=200,
    bytes_in=3,
    bytes_out=14,
    duration=0.0015,
    upstream_duration=0.001,
    server=b"http://10.0.0.1:8000",
    session_id=b"0123456789abcdef",
    request_id=b"a1",
    reason="",
    cause="",
)


def test_a_line_tells_all_that_is_known() -> None:
    """In JSON; of the session id, only the beginning."""
    assert json.loads(render(RECORD, b"2023-11-14T22:13:20")) == {
        "time": "2023-11-14T22:13:20.250Z",
        "client": "192.0.2.1",
        "method": "GET",
        "route": "/api/*",
        "path": "/api/me",
        "status": 200,
        "bytes_in": 3,
        "bytes_out": 14,
        "duration_us": 1500,
        "upstream": "http://10.0.0.1:8000",
        "upstream_us": 1000,
        "session": "0123456789ab",
        "request_id": "a1",
    }


def test_a_reason_and_its_cause() -> None:
    """They are told where a request ended otherwise than by an answer."""
    cut = RECORD._replace(reason="upstream_closed", cause='closed, "early"')
    assert json.loads(render(cut, b""))["reason"] == "upstream_closed"
    assert json.loads(render(cut, b""))["cause"] == 'closed, "early"'
    refused = refused_record(refusals.OVER_SHARE, b"192.0.2.1", b"a2")
    line = json.loads(render(refused, b""))
    assert (line["method"], line["path"], line["reason"]) == ("-", "-", "over_share")
    assert "cause" not in line


@pytest.mark.parametrize(
    ("path", "written"),
    [
        (b'/a"b', '/a"b'),
        (b"/a\\b", "/a\\b"),
        (b"/reset/eyJhbGci.eyJzdWIi.c2ln/x", "/reset/[token]/x"),
        (b"/eyJ", "/eyJ"),
    ],
)
def test_paths(path: bytes, written: str) -> None:
    """Marks of JSON are escaped, and a token is blotted out."""
    assert json.loads(render(RECORD._replace(path=path), b""))["path"] == written


def test_lines_are_written_at_a_tick_or_when_there_are_many(tmp_path: Path) -> None:
    """Each with its own second; a log that is off takes none."""
    file = tmp_path / "access.log"
    records = Records([open_log(str(file)), AccessLog(None)])
    records.add(RECORD)
    records.add(RECORD._replace(ended=RECORD.ended + 1))
    assert file.read_bytes() == b""
    records.flush()
    times = [json.loads(line)["time"] for line in file.read_text().splitlines()]
    assert times == ["2023-11-14T22:13:20.250Z", "2023-11-14T22:13:21.250Z"]
    for _ in range(1000):
        records.add(RECORD)
    assert file.read_bytes().count(b"\n") > 700
