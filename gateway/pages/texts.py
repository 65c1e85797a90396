"""The texts of the pages. One `Texts` has all texts of a language."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Singular and plural, with {} for the number.
Plural = tuple[str, str]

_DAY, _HOUR, _MINUTE = 86400, 3600, 60


@dataclass(frozen=True, slots=True)
class Notice:
    """The text of a page that has no other content."""

    heading: str
    words: str


@dataclass(frozen=True, slots=True)
class Texts:
    """All texts in one language; `language` is its tag (RFC 5646)."""

    language: str
    title: str
    introduction: str
    this_device: str
    impersonated_by: str
    address: str
    logged_in: str
    last_seen: str
    log_out: str
    log_out_of: str  # with {} for a device; it contains `log_out`
    log_out_others: str
    log_out_everywhere: str
    log_out_question: Notice  # if another site led to the logout
    logged_out: Notice
    only_device: str
    others_unknown: str  # if the session has no subject
    not_listed: Plural  # of devices
    back: str
    again: str
    log_in: Notice  # above the logins
    log_in_with: str  # with {} for a provider
    user_name: str
    password: str
    remember_me: str  # beside the checkbox of a form
    notices: Mapping[str, Notice]  # by a refusal's reason
    failure: Notice  # for every other reason
    just_now: str
    minutes: Plural
    hours: Plural
    days: Plural
    browser_on_system: str  # with {} for the browser and {} for the system
    devices: Mapping[str, str]  # by their English names (`core.sessions.devices`)

    def ago(self, seconds: float) -> str:
        """A time in the past, in the largest unit of which there is at least one."""
        units = ((_DAY, self.days), (_HOUR, self.hours), (_MINUTE, self.minutes))
        for size, (one, several) in units:
            if seconds >= size:
                number = int(seconds // size)
                return (one if number == 1 else several).format(number)
        return self.just_now

    def more(self, number: int) -> str:
        """How many devices are not listed."""
        one, several = self.not_listed
        return (one if number == 1 else several).format(number)

    def device(self, label: str) -> str:
        """The label of a device in this language."""
        browser, on, system = label.partition(" on ")
        browser = self.devices.get(browser, browser)
        return self.browser_on_system.format(browser, system) if on else browser

    def notice(self, reason: str) -> Notice:
        """The notice for the reason of a refusal."""
        return self.notices.get(reason, self.failure)
