"""Programs that open streams with ws and eventsource, and so can send header fields."""

from tests.backends.frontends import Program
from tests.backends.site import Backend

BACKEND = Backend("express_site", "node app.js")
LOG_IN = 'const token = await logIn("test", "test");'


def test_streams_carry_the_key_in_a_field(program: Program) -> None:
    """The backend knows the user of both streams, and without a key there is none."""
    hello = f"{LOG_IN} return [await message(chat(token)), await message(events(token))];"
    assert program.run(hello) == [
        '{"user":"test","url":"/api/chat"}',
        "hello test, /api/events",
    ]
    assert program.run('return message(chat("nothing"));') == "refused"
    assert program.run('return message(events("nothing"));') == "refused"


def test_a_logout_closes_open_streams(program: Program) -> None:
    """A stream that was open when its session ended is closed, with 1008 for a WebSocket."""
    closed = """
        const socket = chat(token);
        await new Promise((resolve) => { socket.onmessage = resolve; });
        const closing = new Promise((resolve) => { socket.onclose = ({code}) => resolve(code); });
        const headers = { Authorization: `Bearer ${token}` };
        await fetch("%s/logout", { method: "POST", headers });
        return closing;
    """
    assert program.run(LOG_IN + closed % program.site) == 1008


def test_compression_is_agreed_on_by_both_ends(program: Program) -> None:
    """RFC 7692: ws offers `permessage-deflate`, and its server takes it. A logout's close frame is
    understood behind compressed messages.
    """
    closed = """
        const socket = chat(token);
        await new Promise((resolve) => { socket.onmessage = resolve; });
        const echoed = new Promise((resolve) => { socket.onmessage = ({data}) => resolve(data); });
        socket.send("x".repeat(100000));
        const size = (await echoed).length;
        const closing = new Promise((resolve) => { socket.onclose = ({code}) => resolve(code); });
        const headers = { Authorization: `Bearer ${token}` };
        await fetch("%s/logout", { method: "POST", headers });
        return [socket.extensions, size, await closing];
    """
    assert program.run(LOG_IN + closed % program.site) == ["permessage-deflate", 100000, 1008]
