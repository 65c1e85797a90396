"""Pages in Chromium, which run the code that docs/frontends.md shows."""

from typing import Any

from selenium.webdriver import Chrome

from tests.support.processes import HANG

# Runs the documented code, then a test's own, which returns a value or a promise. The first event
# of an EventSource or a WebSocket is what `message` returns.
_PAGE = """
const done = arguments[arguments.length - 1];
%s
const message = (target) => new Promise((resolve, reject) => {
  target.onmessage = ({data}) => { target.close(); resolve(data); };
  target.onerror = () => { target.close(); reject("refused"); };
});
(async () => {%s})().then(done, (error) => done(String(error)));
"""


class Page:
    """A page in a browser, with the documented code."""

    def __init__(self, browser: Chrome, url: str, code: str) -> None:
        self._browser, self._code = browser, code
        browser.set_script_timeout(HANG)
        self.visit(url)

    def visit(self, url: str) -> None:
        """Go to a page, whose origin then is the code's."""
        self._browser.get(url)

    def run(self, script: str) -> Any:
        """Run the documented code and `script`, and return its value, or its error as a text."""
        return self._browser.execute_async_script(_PAGE % (self._code, script))
