"""kinds: how the classes of a kind are called."""

from gateway.core.logins.kinds import class_name


def test_class_names() -> None:
    """A kind of several words is written with underscores."""
    assert class_name("backend", "Section") == "BackendSection"
    assert class_name("ldap_bind", "Login") == "LdapBindLogin"
