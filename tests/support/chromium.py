"""Headless Chromium, driven through Debian's chromedriver."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions, ChromeService

_BLOCKED = 2  # Chromium's number for it


@contextmanager
def chromium(profile: Path, *, javascript: bool = True) -> Iterator[Chrome]:
    """A browser with a profile of its own, which does nothing unasked."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert binary, "chromium is missing: install Debian's package chromium"
    assert driver, "chromedriver is missing: install Debian's package chromium-driver"
    options = ChromeOptions()
    options.binary_location = binary
    for argument in (
        "headless",
        "disable-gpu",
        "disable-quic",
        "disable-dev-shm-usage",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "no-first-run",
        "no-proxy-server",
        "host-resolver-rules=MAP *.test 127.0.0.1",  # names that browsers do not think safe
        f"user-data-dir={profile}",
    ):
        options.add_argument(f"--{argument}")
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium's own does not work for root
    if not javascript:
        blocked = {"profile.managed_default_content_settings.javascript": _BLOCKED}
        options.add_experimental_option("prefs", blocked)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = Chrome(options=options, service=ChromeService(driver))
    try:
        yield browser
    finally:
        browser.quit()
