"""Python's codecs for the charsets that messages name (RFC 9110 §8.3.2)."""

from __future__ import annotations

import encodings
import encodings.aliases
import pkgutil

# Codecs of Python that are not charsets, or whose time grows with the square of a text's size.
_NO_CHARSETS = frozenset(
    {
        *("aliases", "charmap", "idna", "mbcs", "oem", "punycode", "raw_unicode_escape", "rot_13"),
        *("tactis", "undefined", "unicode_escape"),
    }
)
_MODULES = {module.name: module.name for module in pkgutil.iter_modules(encodings.__path__)}
_CODECS = {
    name: codec
    for name, codec in {**_MODULES, **encodings.aliases.aliases}.items()
    if codec not in _NO_CHARSETS and not codec.endswith("_codec")
}


def codec(name: str) -> str | None:
    """Python's name for a charset; None for an unknown charset.

    The names are listed here, because Python would try to import a module of any given name.
    """
    return _CODECS.get(name.lower().replace("-", "_").replace(".", "_"))
