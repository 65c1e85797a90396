"""Pages of another origin in Chromium, which send the key in a header field."""

from tests.backends.browser import Page
from tests.backends.site import Backend, Site

BACKEND = Backend("express_site", "node app.js")


def test_a_page_of_another_origin_sends_its_key_in_a_field(page: Page, site: Site) -> None:
    """The documented code works at the origin that `cors` names, also when the key has ended."""
    page.visit(f"http://127.0.0.1:{site.backend_port}/")
    log_in = f'const api = shop("{site.url}"); await api.logIn("test", "test");'
    assert page.run(f"{log_in} return (await api.me()).json();")["username"] == "test"
    after = f"{log_in} await api.logOut(); return (await api.me()).status;"
    assert page.run(after) == 401


def test_other_origins_get_nothing(page: Page, site: Site) -> None:
    """A page at an origin that `cors` does not name cannot even log in."""
    page.visit(f"http://localhost:{site.backend_port}/")
    log_in = f'await shop("{site.url}").logIn("test", "test"); return "logged in";'
    assert page.run(log_in) == "TypeError: Failed to fetch"
