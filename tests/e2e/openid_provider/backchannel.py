"""Tells clients that a user has logged out: OpenID Connect Back-Channel Logout 1.0 §2.5."""

import json
import logging
import os
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

from django.contrib.auth.signals import user_logged_in, user_logged_out

from tests.e2e.openid_provider.tokens import session_of, sign

_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_log = logging.getLogger(__name__)


def name_session(sender, request, user, **more):
    request.session["sid"] = session_of(user)


def tell_clients(sender, request, user, **more):
    """Sends a logout token to each client that has an address for them: for the session that ends,
    if the client wants to know, or else for all that the user has.
    """
    if user is None:
        return
    for client in json.loads(os.environ["PROVIDER_CLIENTS"]):
        if "backchannel" in client:
            named = {"sid": request.session["sid"]} if client["by_session"] else {}
            tell(client, sub=str(user.pk), **named)


def tell(client, **named):
    now = int(time.time())
    claims = {
        "iss": os.environ["PROVIDER_ISSUER"],
        "aud": client["client_id"],
        **named,
        "iat": now,
        "exp": now + 120,
        "jti": str(uuid.uuid4()),
        "events": {_EVENT: {}},
    }
    form = urllib.parse.urlencode({"logout_token": sign(claims, "logout+jwt")}).encode()
    try:
        with urllib.request.urlopen(client["backchannel"], form, timeout=10) as answer:
            _log.info("told %s: %d", client["client_id"], answer.status)
    except urllib.error.URLError as error:
        _log.error("could not tell %s: %s", client["client_id"], error)


user_logged_in.connect(name_session)
user_logged_out.connect(tell_clients)
