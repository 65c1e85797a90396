"""Frontends that run the code which docs/frontends.md shows: in a browser, and in Node."""

import json
import subprocess
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome

from tests.support.processes import HANG

# A test's script returns a value or a promise. `message` waits for the first message of a
# WebSocket or an EventSource.
_SCRIPT = """
%s
const message = (target) => new Promise((resolve, reject) => {
  target.onmessage = ({data}) => { target.close(); resolve(data); };
  target.onerror = () => { target.close(); reject("refused"); };
});
const value = (async () => {%s})().catch(String);
"""
_IN_A_PAGE = _SCRIPT + "value.then(arguments[arguments.length - 1]);"
# The program ends as soon as there is a value, whatever is still open.
_IN_NODE = _SCRIPT + "console.log(JSON.stringify(await value ?? null)); process.exit();"


class Page:
    """A page in a browser, with the documented code."""

    def __init__(self, browser: Chrome, site: str, code: str) -> None:
        self._browser, self._code = browser, code
        browser.set_script_timeout(HANG)
        self.visit(site)

    def visit(self, origin: str) -> None:
        """Go to the page `/` of an origin, which then is the code's."""
        self._browser.get(f"{origin}/")

    def run(self, script: str) -> Any:
        """Run the documented code and `script`, and return its value, or its error as a text."""
        return self._browser.execute_async_script(_IN_A_PAGE % (self._code, script))


class Program:
    """A module for Node, with the documented code, in a folder with its libraries."""

    def __init__(self, folder: Path, site: str, code: str) -> None:
        self.site = site
        self._folder, self._code = folder, code

    def run(self, script: str) -> Any:
        """Run the documented code and `script`, and return its value, or its error as a text."""
        (self._folder / "main.mjs").write_text(_IN_NODE % (self._code, script))
        done = subprocess.run(
            ["node", "main.mjs"],
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=3 * HANG,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)
