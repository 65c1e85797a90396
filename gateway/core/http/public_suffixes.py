"""Domains where anyone can register a name. No pattern may cover these.

The list of publicsuffix.org has 10,000 lines. Here stand its rules for the domains of frontends:
those of countries, by their shape, and those of hosting platforms, by name.
"""

from __future__ import annotations

# The second level below a country's two letters, as in `co.uk` and `com.br`.
_SECOND_LEVELS = """
ac asso co com edu firm gen go gob gouv gov gr ind info lg ltd me mil ne net nhs nom or org plc pro
re sch web
"""

# Platforms on which a customer has a name of one label.
_PLATFORMS = """
amplifyapp.com appspot.com azurestaticapps.net azurewebsites.net blogspot.com cloudfront.net
codeberg.page csb.app deno.dev firebaseapp.com fly.dev framer.app gitbook.io github.dev github.io
gitlab.io gitpod.io glitch.me herokuapp.com hf.space loca.lt lovable.app myshopify.com netlify.app
ngrok-free.app ngrok-free.dev ngrok.app ngrok.dev ngrok.io now.sh onrender.com pages.dev r2.dev
readthedocs.io repl.co replit.app run.app stackblitz.io streamlit.app supabase.co surge.sh
trycloudflare.com up.railway.app vercel.app web.app webcontainer.io webflow.io workers.dev
"""

_SECOND_LEVEL_NAMES = frozenset(_SECOND_LEVELS.split())
_PLATFORM_NAMES = frozenset(_PLATFORMS.split())
_COUNTRY_LETTERS = 2


def is_public(domain: str) -> bool:
    """Whether anyone can register a name directly below a domain (lower case).

    `localhost` is not public: its names are this machine (RFC 6761 §6.3).
    """
    above, _, last = domain.rpartition(".")
    if not above:
        return domain != "localhost"
    if len(last) == _COUNTRY_LETTERS and above in _SECOND_LEVEL_NAMES:
        return True
    return domain in _PLATFORM_NAMES
