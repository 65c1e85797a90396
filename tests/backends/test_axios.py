"""axios with the usual interceptors: one adds the token, one refreshes it after a 401."""

from tests.backends.frontends import Program
from tests.backends.site import Backend

BACKEND = Backend("express_site", "node app.js")
LOG_IN = 'await logIn("test", "test");'


def test_a_frontend_that_refreshes_by_a_timer_goes_on(program: Program) -> None:
    """A refresh answers as the backend does, and the key stays good."""
    script = """
        const before = tokens;
        await refresh();
        const after = tokens;
        const me = (await api.get("/api/me")).data;
        return { before, after, me };
    """
    seen = program.run(LOG_IN + script)
    assert set(seen["before"]) == set(seen["after"])
    for tokens in (seen["before"], seen["after"]):
        assert "eyJ" not in str(tokens)
        assert tokens["refresh_token"]
        assert tokens["token_type"] == "Bearer"
    assert seen["after"]["access_token"] == seen["before"]["access_token"]
    assert seen["me"]["username"] == "test"


def test_a_401_is_refreshed_once_for_all_calls(program: Program) -> None:
    """The interceptor refreshes and tries again, as it does without a gateway."""
    script = """
        const { access_token } = tokens;
        tokens.access_token = "lost";
        const users = await Promise.all([1, 2, 3].map(() => api.get("/api/me")));
        return [users.map(({data}) => data.username), tokens.access_token === access_token];
    """
    assert program.run(LOG_IN + script) == [["test", "test", "test"], True]


def test_parallel_tabs_do_not_log_each_other_out(program: Program) -> None:
    """Tabs with the same refresh key refresh at the same time, and all of them go on."""
    script = """
        const { refresh_token } = tokens;
        const url = "%s/refresh";
        const tabs = await Promise.all([1, 2, 3].map(() => axios.post(url, { refresh_token })));
        for (const { data } of tabs) {
            tokens = data;
            await refresh();
            await api.get("/api/me");
        }
        return tabs.length;
    """
    assert program.run(LOG_IN + script % program.site) == 3


def test_a_logout_ends_both(program: Program) -> None:
    """The refresh after a logout is refused in the backend's own words."""
    script = """
        await api.post("/logout");
        const error = await api.get("/api/me").catch((error) => error);
        return [error.config.url, error.response.status, error.response.data];
    """
    url = f"{program.site}/refresh"
    assert program.run(LOG_IN + script) == [url, 401, {"message": "Invalid refresh token"}]
