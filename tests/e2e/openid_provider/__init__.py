"""An OpenID provider: Django with django-oauth-toolkit, as its documentation sets it up.

It knows nothing of a gateway: `python -m tests.e2e.openid_provider PORT FOLDER CLIENTS`, where
CLIENTS is JSON. What it has of its own is access tokens that are JWTs and names for
sessions (`tokens.py`), and logout tokens when a user logs out (`backchannel.py`), for
django-oauth-toolkit has none of them.
"""
