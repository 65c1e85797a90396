"""The header fields of every page: no foreign content, no framing."""

from __future__ import annotations

from collections.abc import Sequence

# The request decides whether the response is a page, and in which language.
VARY = "Accept, Accept-Language"


def fields(nonce: str, language: str, leads_to: Sequence[str] = ()) -> dict[str, str]:
    """The header fields of a page.

    nonce: the nonce of the page's own styles (CSP Level 3 §2.3.1)
    leads_to: other origins to which its forms may redirect; browsers check every redirect
    """
    forms = " ".join(["'self'", *leads_to])
    return {
        "Cache-Control": "no-store",
        "Content-Language": language,
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'nonce-{nonce}'; form-action {forms}; "
            "frame-ancestors 'none'; base-uri 'none'"
        ),
        # With no-referrer, browsers would send `Origin: null` for the page's own forms.
        "Referrer-Policy": "same-origin",
        "Vary": VARY,
        "X-Content-Type-Options": "nosniff",
    }
