"""login_state: what a browser takes along opens with its state, at its login, and for a while."""

import pytest

from gateway.core.logins import login_state
from gateway.core.logins.carriers import LOGIN_STATE_MARK, KeyCookie, key_cookie
from gateway.core.logins.login_state import LIFETIME, RANDOM_BYTES, LoginState
from gateway.core.sessions.keys import KEY_PATTERN
from gateway.core.sessions.sealing import Sealer

SEALER = Sealer(["a secret of the tests"])
LIKE = key_cookie("latchkey", secure=True)
NOW = 1_800_000_000.0


def begun(seed: int = 0, return_to: str = "/cart") -> LoginState:
    random = bytes((seed + at) % 256 for at in range(RANDOM_BYTES))
    return login_state.begin(random, origin="https://shop.example", return_to=return_to, now=NOW)


def taken(pending: LoginState, path: str = "/login", like: KeyCookie = LIKE) -> dict[str, str]:
    """The cookie that the browser has then."""
    line = login_state.cookie(pending, path, like, SEALER, b"n" * 12)
    name, _, value = line.partition(";")[0].partition("=")
    return {name: value}


def test_it_comes_back_as_it_went() -> None:
    """All of it, for as long as it lasts."""
    pending = begun()
    for now in (NOW, NOW + LIFETIME - 1, NOW - 60):
        assert (
            login_state.find(taken(pending), pending.state, "/login", LIKE, SEALER, now) == pending
        )


@pytest.mark.parametrize(
    ("state", "path", "now"),
    [
        (begun().state, "/login", NOW + LIFETIME),
        (begun().state, "/other", NOW),
        (begun(1).state, "/login", NOW),
        ("", "/login", NOW),
        ("\udcff" * 43, "/login", NOW),
        (begun().state + "A", "/login", NOW),
        (begun().state.lower(), "/login", NOW),
    ],
)
def test_what_does_not_open_it(state: str, path: str, now: float) -> None:
    """Too late, another login, another state."""
    assert login_state.find(taken(begun()), state, path, LIKE, SEALER, now) is None


def test_a_state_with_another_ones_cookie() -> None:
    """The name is not what counts: the cookie of another login opens nothing."""
    one, two = begun(1), begun(2)
    [name], [value] = taken(one).keys(), taken(two).values()
    for pending in (one, two):
        assert login_state.find({name: value}, pending.state, "/login", LIKE, SEALER, NOW) is None


def test_another_secret() -> None:
    """Rotated secrets open what they sealed; others do not."""
    pending, cookies = begun(), taken(begun())
    rotated, other = Sealer(["new", "a secret of the tests"]), Sealer(["other"])
    assert login_state.find(cookies, pending.state, "/login", LIKE, rotated, NOW) == pending
    assert login_state.find(cookies, pending.state, "/login", LIKE, other, NOW) is None


def test_the_cookie() -> None:
    """It tells nothing, is no key, and is protected as keys are."""
    pending = begun(return_to="/a-secret-page")
    line = login_state.cookie(pending, "/login", LIKE, SEALER, b"n" * 12)
    assert line.startswith("__Host-latchkey-")
    assert line.endswith("; Max-Age=600; Path=/; HttpOnly; SameSite=Lax; Secure")
    for part in (pending.state, pending.nonce, pending.verifier, "secret-page"):
        assert part not in line
        assert part not in repr(pending)
    [value] = taken(pending).values()
    assert value.startswith(LOGIN_STATE_MARK)
    assert not KEY_PATTERN.search(value.encode())
    assert login_state.ended(pending.state, LIKE).startswith(
        f"{next(iter(taken(pending)))}=; Max-Age=0; "
    )


def test_the_challenge() -> None:
    """RFC 7636, Appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    pending = LoginState("", "", verifier, "", "/", 0)
    assert pending.challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_too_many_are_given_up() -> None:
    """All at once; nothing else of the browser's is touched."""
    some = {f"__Host-latchkey-{at}": "lk_trip.x" for at in range(login_state.MAX_PENDING)}
    others = {"__Host-other-1": "lk_trip.x"}
    assert login_state.deletions_if_too_many(list(some)[1:], LIKE) == []
    lines = login_state.deletions_if_too_many({**some, **others}, LIKE)
    assert [line.partition("=")[0] for line in lines] == list(some)
    assert all("=; Max-Age=0; " in line for line in lines)
