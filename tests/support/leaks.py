"""Finding planted secrets in whatever a gateway writes, in all the forms that they may take."""

import base64
import json
from collections.abc import Iterable
from urllib.parse import quote

# A piece of a secret that is found by no chance, in bytes; a session id in a log is as long.
_PIECE = 12


class Planted:
    """Secrets that must turn up nowhere but where they belong."""

    def __init__(self) -> None:
        self._forms: dict[str, set[bytes]] = {}

    def plant(self, *secrets: str) -> None:
        for secret in secrets:
            assert len(secret) >= 16, "a shorter one could be found by chance"
            self._forms[secret] = forms(secret)

    def found(self, text: bytes, *, but: Iterable[str] = ()) -> list[str]:
        """The secrets that are in a text, without those that may be."""
        allowed = set(but)
        return [
            secret
            for secret, spelled in self._forms.items()
            if secret not in allowed and any(form in text for form in spelled)
        ]

    def __len__(self) -> int:
        return len(self._forms)


def forms(secret: str) -> set[bytes]:
    """The secret as it is, its beginning and end, in other cases and escapes, in hexadecimal and in
    base64; and what a key or a token decodes to.
    """
    raw = secret.encode()
    own = raw.rpartition(b".")[2] if secret.startswith("eyJ") else raw  # all headers begin alike
    spelled = {raw, own[:_PIECE], own[-_PIECE:], raw.lower(), raw.upper()}
    spelled.add(quote(secret, safe="").encode())
    spelled.add(json.dumps(secret)[1:-1].encode())
    for form in (raw, *_decoded(secret)):
        spelled |= {form, form.hex().encode(), form.hex().upper().encode(), *_in_base64(form)}
    return spelled


def _decoded(secret: str) -> Iterable[bytes]:
    """The random bytes of a key, and a token's payload and signature."""
    if secret.startswith("lk_"):
        yield base64.urlsafe_b64decode(secret[3:46] + "=")
    if secret.startswith("eyJ"):
        for part in secret.split(".")[1:]:
            yield part.encode()
            yield base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _in_base64(data: bytes) -> Iterable[bytes]:
    """Wherever it begins among others: what is left of it when its edges are cut off."""
    for before in range(3):
        for alphabet in (base64.b64encode, base64.urlsafe_b64encode):
            text = alphabet(bytes(before) + data).rstrip(b"=")
            yield text[(0, 2, 3)[before] : len(text) - bool((before + len(data)) % 3)]
