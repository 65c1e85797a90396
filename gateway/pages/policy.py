"""The fields that every page goes with: nothing from elsewhere in it, and framed by nobody."""

from __future__ import annotations

from collections.abc import Sequence

# Whether an answer is a page, and in which language, the request decides.
VARY = "Accept, Accept-Language"


def fields(nonce: str, language: str, leads_to: Sequence[str] = ()) -> dict[str, str]:
    """`nonce` names the page's own styles (CSP Level 3 §2.3.1); `leads_to` are the sources to which
    its forms may be redirected beside the site itself: browsers look at every step of the way.
    """
    forms = " ".join(["'self'", *leads_to])
    return {
        "Cache-Control": "no-store",
        "Content-Language": language,
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'nonce-{nonce}'; form-action {forms}; "
            "frame-ancestors 'none'; base-uri 'none'"
        ),
        # With no-referrer, browsers would say `Origin: null` of the page's own forms.
        "Referrer-Policy": "same-origin",
        "Vary": VARY,
        "X-Content-Type-Options": "nosniff",
    }
