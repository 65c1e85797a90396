"""`kind: oidc`: a login at an OpenID provider."""

from gateway.logins.oidc.login import OidcLogin as OidcLogin
