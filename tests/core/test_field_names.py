"""Names of header fields as careless backends compare them."""

import pytest

from gateway.core.http import field_names
from gateway.core.http.field_names import fold, has_meaning


@pytest.mark.parametrize(
    "name", [b"X-User-Id", b"X_User_Id", b"x~user~id", b"X.User.ID", b"x-user\xe9id"]
)
def test_all_but_letters_and_digits_fold_alike(name: bytes) -> None:
    """RFC 3875 §4.1.18, as lighttpd and others extend it: each is the same variable."""
    assert fold(name) == b"x-user-id"


def test_the_names_of_the_lists_are_folded() -> None:
    """So a folded name can be looked up in them."""
    names = field_names.NEVER_TRAILERS | field_names.HOSTS | field_names.FORWARDING
    assert all(fold(name) == name for name in names)


@pytest.mark.parametrize(
    "name",
    [
        b"authorization",
        b"x-forwarded-for",
        b"x-latchkey-key",
        b"accept-language",
        b"sec-fetch-site",
    ],
)
def test_a_name_with_a_meaning_is_free_for_nothing_else(name: bytes) -> None:
    assert has_meaning(name)


@pytest.mark.parametrize("name", [b"x-user-id", b"x-forwarded-user", b"x-tenant"])
def test_other_names_may_tell_who_the_user_is(name: bytes) -> None:
    assert not has_meaning(name)
