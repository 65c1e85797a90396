"""Pages of the site's own in Chromium: sessions that last, and requests that do not extend them."""

import re

import pytest

from tests.backends.frontends import Page
from tests.backends.site import Backend, Site

BACKEND = Backend("express_site", "node app.js")

DAY = 86400


@pytest.mark.parametrize(
    ("remember", "idle", "longest"), [("true", 14 * DAY, 30 * DAY), ("false", 1800, DAY / 2)]
)
def test_the_checkbox_decides_how_long_a_session_lasts(
    page: Page, remember: str, idle: float, longest: float
) -> None:
    """Polling goes on, and tells nothing of the session's idleness."""
    page.run(f'return (await logIn("test", "test", {remember})).status;')
    assert page.run("return (await poll()).username;") == "test"
    told = page.run("return whoAmI();")
    assert (told["subject"], told["claims"]) == ("test", {"name": "Test User"})
    assert idle - 60 < told["idle_ends_in"] <= idle
    assert longest - 60 < told["ends_in"] <= longest


@pytest.mark.parametrize("remember", [True, False])
def test_the_cookie_lasts_if_it_is_checked(site: Site, remember: bool) -> None:
    """A little longer than the session may be idle."""
    data = {"username": "test", "password": "test", "rememberMe": remember}
    own = {"Sec-Fetch-Site": "same-origin"}
    cookie = site.ask("POST", "/login", data=data, headers=own).headers["Set-Cookie"]
    lasts = re.search(r"; Max-Age=(\d+);", cookie)
    assert bool(lasts) == remember
    if lasts:
        assert 14 * DAY < int(lasts[1]) < 16 * DAY
