"""What the pages say. A language is one value of this type, so that no text can be missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# One of a thing, and several, with {} for the number.
Plural = tuple[str, str]

_DAY, _HOUR, _MINUTE = 86400, 3600, 60


@dataclass(frozen=True, slots=True)
class Notice:
    """What a page says in place of what was asked for."""

    heading: str
    words: str


@dataclass(frozen=True, slots=True)
class Texts:
    """All texts in one language; `language` is its tag (RFC 5646)."""

    language: str
    title: str
    introduction: str
    this_device: str
    address: str
    logged_in: str
    last_seen: str
    log_out: str
    log_out_of: str  # with {} for a device; it contains `log_out`
    log_out_others: str
    log_out_everywhere: str
    log_out_question: Notice  # when another site has led to the logout
    logged_out: Notice
    only_device: str
    others_unknown: str  # when the device's own subject is
    not_listed: Plural  # of devices
    back: str
    again: str
    log_in: Notice  # over the ways to log in
    log_in_with: str  # with {} for a provider
    user_name: str
    password: str
    notices: Mapping[str, Notice]  # by a refusal's reason
    failure: Notice  # for every other reason
    just_now: str
    minutes: Plural
    hours: Plural
    days: Plural
    browser_on_system: str  # with {} for each
    devices: Mapping[str, str]  # what the gateway calls devices in English

    def ago(self, seconds: float) -> str:
        """How long ago something was, in the largest unit that there was one of."""
        units = ((_DAY, self.days), (_HOUR, self.hours), (_MINUTE, self.minutes))
        for size, (one, several) in units:
            if seconds >= size:
                number = int(seconds // size)
                return (one if number == 1 else several).format(number)
        return self.just_now

    def more(self, number: int) -> str:
        """How many devices there are beside those that are listed."""
        one, several = self.not_listed
        return (one if number == 1 else several).format(number)

    def device(self, label: str) -> str:
        """A device's label in this language."""
        browser, on, system = label.partition(" on ")
        browser = self.devices.get(browser, browser)
        return self.browser_on_system.format(browser, system) if on else browser

    def notice(self, reason: str) -> Notice:
        """What is said of a refusal."""
        return self.notices.get(reason, self.failure)
