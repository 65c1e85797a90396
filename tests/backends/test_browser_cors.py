"""Pages of another origin in Chromium, which send the key in a header field."""

from tests.backends.frontends import Page
from tests.backends.site import Backend, Site

BACKEND = Backend("express_site", "node app.js")
LOG_IN = 'await logIn("test", "test");'


def test_a_page_of_another_origin_sends_its_key_in_a_field(page: Page, site: Site) -> None:
    """The documented code works at the origin that `cors` names, also when the key has ended."""
    page.visit(f"http://127.0.0.1:{site.backend_port}")
    assert page.run(f"{LOG_IN} return (await me()).json();")["username"] == "test"
    assert page.run("await logOut(); return (await me()).status;") == 401


def test_other_origins_get_nothing(page: Page, site: Site) -> None:
    """A page at an origin that `cors` does not name cannot even log in."""
    page.visit(f"http://localhost:{site.backend_port}")
    assert page.run(LOG_IN) == "TypeError: Failed to fetch"
