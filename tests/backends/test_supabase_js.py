"""@supabase/supabase-js before a backend that answers as Supabase does."""

import pytest

from tests.backends.frontends import Program
from tests.backends.site import Backend, Site

BACKEND = Backend("gotrue", "node app.js")

LOG_IN = """
    const { data, error } = await logIn("test@example.com", "test");
    if (error) throw error;
    const { access_token, refresh_token, user } = data.session;
"""


def refreshes(site: Site) -> int:
    """How often the backend was asked to refresh."""
    count: int = site.ask("GET", "/counts", directly=True).json["refreshes"]
    return count


def test_log_in_read_refresh_and_log_out(program: Program, site: Site) -> None:
    """Each part of a session is there, tokens are keys, and the library refreshes and logs out."""
    before = refreshes(site)
    result = program.run(
        LOG_IN
        + """
        const first = await notes();
        const refreshed = await supabase.auth.refreshSession();
        if (refreshed.error) throw refreshed.error;
        const second = await notes();
        const seen = await supabase.auth.getUser();
        const { error: leaving } = await logOut();
        const gone = await supabase.auth.refreshSession({ refresh_token });
        return {
          access_token, refresh_token, user: user.email, session: data.session,
          rows: [first.data, second.data], refreshed: refreshed.data.session,
          seen: seen.data.user.email, leaving, gone: gone.error.code,
        };
        """
    )
    assert result["access_token"].startswith("lk_")
    assert result["refresh_token"].startswith("lk_refresh_")
    assert result["user"] == result["seen"] == "test@example.com"
    assert result["session"]["expires_in"] > 40_000  # session.max_age, and not the token's hour
    owner = [{"id": 1, "owner": "5f9d0d2e-6f7b-4c43-9d4a-3f5b8f2f7b11"}]
    assert result["rows"] == [owner, owner]
    assert result["refreshed"]["access_token"] == result["access_token"]
    assert result["refreshed"]["refresh_token"] not in (result["refresh_token"], "")
    assert result["refreshed"]["expires_at"] == result["session"]["expires_at"]
    assert result["leaving"] is None
    assert result["gone"] == "refresh_token_not_found"
    assert refreshes(site) == before + 2  # one was that of the refusal


def test_two_tabs_do_not_log_each_other_out(program: Program, site: Site) -> None:
    """Both hold the same session and refresh it at the same time; the backend is asked once."""
    before = refreshes(site)
    result = program.run(
        LOG_IN
        + """
        const tabs = [client(), client(), client()];
        const answers = await Promise.all(
          tabs.map((tab) => tab.auth.refreshSession({ refresh_token })));
        const again = await Promise.all(
          tabs.map((tab) => tab.auth.refreshSession()));
        const rows = await Promise.all(tabs.map((tab) => tab.from("notes").select()));
        return [...answers, ...again, ...rows].map(({ error }) => error);
        """
    )
    assert result == [None] * 9
    assert refreshes(site) == before + 1


def test_a_wrong_password_is_the_backends_refusal(program: Program) -> None:
    """The library reads its code."""
    script = 'return (await logIn("test@example.com", "wrong")).error.code;'
    assert program.run(script) == "invalid_credentials"


@pytest.mark.parametrize("token", ["", "made-up", "lk_" + "A" * 49])
def test_what_is_no_refresh_key_is_the_backends_refusal(site: Site, token: str) -> None:
    """The library logs out by it."""
    reply = site.ask(
        "POST",
        "/auth/v1/token?grant_type=refresh_token",
        data={"refresh_token": token},
        headers={"apikey": "sb_publishable_of_the_tests"},
    )
    assert (reply.status, reply.json["error_code"]) == (400, "refresh_token_not_found")
