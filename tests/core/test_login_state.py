"""login_state: what a browser takes along opens with its state, at its login, and for a while."""

from secrets import token_urlsafe

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
    """The cookies that the browser has then."""
    lines = login_state.cookies(pending, path, like, SEALER, b"n" * 12)
    pairs = (line.partition(";")[0].partition("=") for line in lines)
    return {name: value for name, _, value in pairs}


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
    [line] = login_state.cookies(pending, "/login", LIKE, SEALER, b"n" * 12)
    assert line.startswith("__Host-latchkey-")
    assert line.endswith("; Max-Age=600; Path=/; HttpOnly; SameSite=Lax; Secure")
    for part in (pending.state, pending.nonce, pending.verifier, "secret-page"):
        assert part not in line
        assert part not in repr(pending)
    [value] = taken(pending).values()
    assert value.startswith(LOGIN_STATE_MARK)
    assert not KEY_PATTERN.search(value.encode())
    [ended] = login_state.ended({}, pending.state, LIKE)
    assert ended.startswith(f"{next(iter(taken(pending)))}=; Max-Age=0; ")


def test_a_long_way_back_takes_two_cookies() -> None:
    """Each is small enough for a browser, and both for one line of 8 KiB; both end together."""
    way = "/search?q=" + token_urlsafe(4500)
    pending = begun(return_to=way)
    cookies = taken(pending)
    assert len(cookies) == 2
    assert max(map(len, cookies.values())) < 3600
    found = login_state.find(cookies, pending.state, "/login", LIKE, SEALER, NOW)
    assert found == pending
    ended = login_state.ended(cookies, pending.state, LIKE)
    assert [line.partition("=")[0] for line in ended] == list(cookies)


def test_half_of_a_state_opens_nothing() -> None:
    """A browser may lose one of two cookies, and a neighbour may set one."""
    pending = begun(return_to="/" + token_urlsafe(4500))
    first, second = taken(pending).items()
    for cookies in (dict([first]), dict([second]), dict([first, (second[0], first[1])])):
        assert login_state.find(cookies, pending.state, "/login", LIKE, SEALER, NOW) is None
    broken = dict([first, (second[0], "no state")])
    assert login_state.find(broken, pending.state, "/login", LIKE, SEALER, NOW) is None


def test_a_way_back_that_does_not_fit_is_left_out() -> None:
    """The login goes on without it."""
    pending = begun(return_to="/" + token_urlsafe(5900))
    cookies = taken(pending)
    found = login_state.find(cookies, pending.state, "/login", LIKE, SEALER, NOW)
    assert (len(cookies), found and found.return_to) == (1, "/")


def test_the_challenge() -> None:
    """RFC 7636, Appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    pending = LoginState("", "", verifier, "", "/", 0)
    assert pending.challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_too_many_are_given_up() -> None:
    """All at once; nothing else of the browser's is touched."""
    some = {f"__Host-latchkey-{at}": "lk_trip.x" for at in range(login_state.MAX_PENDING)}
    others = {"__Host-other-1": "lk_trip.x"}
    fewer = dict(list(some.items())[1:])
    assert login_state.deletions_if_too_many(fewer, LIKE, ["new"]) == []
    lines = login_state.deletions_if_too_many({**some, **others}, LIKE, ["new"])
    assert [line.partition("=")[0] for line in lines] == list(some)
    assert all("=; Max-Age=0; " in line for line in lines)


def test_long_ones_are_given_up_sooner() -> None:
    """All pending ones together fit into one line of a head."""
    one, other = (taken(begun(seed, "/" + token_urlsafe(4500))) for seed in (1, 2))
    lines = login_state.deletions_if_too_many(one, LIKE, list(other.values()))
    assert [line.partition("=")[0] for line in lines] == list(one)
