"""Pages in Chromium that keep their key in JavaScript, and send it where no field can be set."""

from tests.backends.frontends import Page
from tests.backends.site import Backend, Site

BACKEND = Backend("express_site", "node app.js")
LOG_IN = 'const token = await logIn("test", "test");'


def test_a_websocket_sends_its_key_as_a_subprotocol(page: Page) -> None:
    """The backend chooses among the frontend's own subprotocols, and the browser is content."""
    opened = "const socket = chat(token); return [await message(socket), socket.protocol];"
    assert page.run(LOG_IN + opened) == ['{"user":"test","url":"/api/chat"}', "chat"]


def test_a_browser_accepts_the_answer_to_what_it_offered(page: Page) -> None:
    """Also where the backend, which knows `chat` alone, picks none: Chromium would close it."""
    opened = """
        const encoded = btoa(token).replace(/\\+/g, "-").replace(/\\//g, "_").replace(/=/g, "");
        const kubernetes = `base64url.bearer.authorization.k8s.io.${encoded}`;
        const chosen = [];
        for (const offered of [["bearer", token], [kubernetes, "chat"], [kubernetes], [token]]) {
          const socket = new WebSocket(`ws://${location.host}/api/chat`, offered);
          await message(socket);
          chosen.push(offered.indexOf(socket.protocol));
        }
        return chosen;
    """
    assert page.run(LOG_IN + opened) == [0, 1, 0, 0]


def test_streams_images_and_downloads_send_their_key_in_the_query(page: Page) -> None:
    """The backend sees the token, and the query without the key."""
    assert page.run(f"{LOG_IN} return message(events(token));") == "hello test, /api/events"
    shown = "const image = showAvatar(token); await image.decode(); return image.naturalWidth;"
    assert page.run(LOG_IN + shown) == 8
    report = "return (await fetch(reportUrl(token))).text();"
    assert page.run(LOG_IN + report) == "name,total\ntest,7\n"


def test_no_log_shows_a_key_of_a_query(page: Page, site: Site) -> None:
    """Neither the access log nor the gateway's own has it."""
    key = page.run(f"{LOG_IN} await fetch(reportUrl(token)); return token;")
    assert site.front.records(path="/api/report.csv", status=200)
    assert key not in site.front.access_log.read_text() + site.front.log.read_text()
