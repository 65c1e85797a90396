"""The pages' texts in English."""

from __future__ import annotations

from gateway.pages.texts import Notice, Texts

_LOG_IN = Notice(
    "You need to log in",
    "Log in to see this page. If you were logged in, you have been logged out or your login has "
    "expired.",
)

_FORBIDDEN = Notice(
    "You may not see this page",
    "You are logged in, but your account does not allow this.",
)
_NOT_FOUND = Notice("This page does not exist", "Check the address, or go back.")
_BUSY = Notice("There is a lot going on right now", "Try again in a moment.")
_AWAY = Notice(
    "This page cannot be reached right now", "You are still logged in. Try again in a moment."
)
_NO_LOGIN = Notice(
    "This login does not work right now",
    "The login service does not answer. Try again in a moment.",
)
_MISFIT = Notice(
    "You could not be logged in",
    "The login service gave an answer that cannot be used. The log of this site says why.",
)

ENGLISH = Texts(
    language="en",
    title="Your devices",
    introduction="These devices are logged in to your account. If you do not recognise one, log it "
    "out.",
    this_device="This device",
    impersonated_by="{} acts here in your place",
    address="IP address",
    logged_in="Logged in",
    last_seen="Last active",
    log_out="Log out",
    log_out_of="Log out {}",
    log_out_others="Log out all other devices",
    log_out_everywhere="Log out everywhere",
    log_out_question=Notice(
        "Do you want to log out?",
        "Another website, or a link, has led you here. You are still logged in.",
    ),
    logged_out=Notice("You are logged out", "You can close this page, or log in again."),
    only_device="You are not logged in on any other device.",
    others_unknown="Your other devices cannot be shown, because your login does not say whose they "
    "are.",
    not_listed=("{} more device is not shown.", "{} more devices are not shown."),
    back="Back to your devices",
    again="Log in again",
    log_in=Notice("Log in", "Log in to go on."),
    log_in_with="Continue with {}",
    user_name="User name",
    password="Password",  # noqa: S106 (the word)
    remember_me="Keep me logged in",
    notices={
        **dict.fromkeys(
            (
                "no_key",
                "invalid_key",
                "invalid_refresh_key",
                "not_a_key",
                "token_not_key",
                "several_keys",
            ),
            _LOG_IN,
        ),
        "login_too_old": Notice(
            "Log in once more", "For this page, your login must be more recent."
        ),
        "cross_site": Notice(
            "This request was blocked",
            "It was sent by another website, so nothing has been changed.",
        ),
        "key_not_read": Notice(
            "Please log out again",
            "Your key came in a place where it is not read, so you may still be logged in.",
        ),
        "unknown_subject": Notice(
            "Your other devices are still logged in",
            "They cannot be found, because your login does not say whose they are. Log out on each "
            "of them.",
        ),
        "no_session": Notice(
            "There is no such device",
            "It may have been logged out already.",
        ),
        "too_many_attempts": Notice(
            "Too many logins have failed",
            "Please wait a little before you try again.",
        ),
        "maintenance": Notice(
            "We are working on this",
            "It will be back soon. Please try again later.",
        ),
        "rate_limited": Notice(
            "Too many requests",
            "You have sent many requests in a short time. Please wait a moment, then try again.",
        ),
        **dict.fromkeys(("forbidden", "insufficient_scope"), _FORBIDDEN),
        "bad_login": Notice("Something is missing", "Enter your user name and your password."),
        "wrong_login": Notice(
            "The name or the password is wrong",
            "Check both and try again.",
        ),
        **dict.fromkeys(("no_route", "ambiguous_path", "ambiguous_host"), _NOT_FOUND),
        **dict.fromkeys(("upstream_timeout", "upstream_unreachable", "upstream_closed"), _AWAY),
        **dict.fromkeys(("renewal_failed", "upstream_invalid"), _AWAY),
        **dict.fromkeys(("upstream_down", "circuit_open"), _AWAY),
        **dict.fromkeys(("busy", "too_many_at_once", "over_share"), _BUSY),
        **dict.fromkeys(("upstream_full", "streams_full"), _BUSY),
        **dict.fromkeys(("overloaded", "concurrency_limited"), _BUSY),
        "login_lost": Notice(
            "This login has expired",
            "It took too long, was used already, or was begun in another browser. Please log in "
            "again.",
        ),
        "login_denied": Notice(
            "You have not been logged in",
            "The login was cancelled or refused at the provider. You can try again.",
        ),
        **dict.fromkeys(("provider_unavailable", "users_unavailable"), _NO_LOGIN),
        **dict.fromkeys(("provider_invalid", "no_jwt", "no_realm"), _MISFIT),
        "sessions_left": Notice(
            "Your other devices may still be logged in",
            "This was done, but they could not be logged out just now. Log out everywhere in a "
            "moment.",
        ),
        "store_unavailable": Notice(
            "Please try again in a moment",
            "Your logins cannot be reached right now, so this may not have been done.",
        ),
    },
    failure=Notice("This did not work", "The request could not be handled."),
    just_now="just now",
    minutes=("{} minute ago", "{} minutes ago"),
    hours=("{} hour ago", "{} hours ago"),
    days=("{} day ago", "{} days ago"),
    browser_on_system="{} on {}",
    devices={},
)
