"""Rules in Python: what they see, how they are loaded, run and measured."""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from gateway.rules import Request, loading
from gateway.rules.loading import BadRule, RuleLoader, RuleSource, parse_source
from gateway.rules.rule import SLOW_SECONDS, Rule, RuleFailed, RuleSet
from gateway.rules.time_limit import TimeLimit
from tests.support.processes import HANG

REQUEST = Request("GET", "/items/7", params={"id": "7"}, subject="alice")


def source(code: str, function: str = "rule", file: str = "/nowhere/rules.py") -> RuleSource:
    return RuleSource(file, function, code.encode())


def rule(body: str) -> Rule:
    text = f"def rule(request):\n    {body}\n"
    return RuleSet().rule(source(text))


def test_what_a_rule_sees() -> None:
    """Claims are found and compared as in a route's `claims`."""
    claims = {"realm_access": {"roles": ["staff"]}, "scope": "read write", "level": 1}
    request = Request("GET", "/", claims=claims)
    assert request.claim("realm_access.roles") == ["staff"]
    assert request.claim("none", default=0) == 0
    assert request.has("/realm_access/roles", "staff")
    assert request.has("scope", "read")
    assert request.has("level", 1.0)
    assert not request.has("level", True)
    assert not request.has("none", "staff")
    with pytest.raises(AttributeError):
        request.method = "PUT"  # type: ignore[misc]
    assert "staff" not in repr(request)


def test_type_checkers_know_it() -> None:
    """A rule's `from gateway.rules import Request` is checked with its types (PEP 561)."""
    assert resources.files("gateway").joinpath("py.typed").is_file()


def test_yes_no_and_the_counts() -> None:
    asked = rule('return request.params["id"] == "7"')
    assert asked.allows(REQUEST)
    assert not asked.allows(Request("GET", "/items/8", params={"id": "8"}))
    assert (asked.calls, asked.refusals, asked.errors) == (2, 1, 0)
    assert asked.seconds > 0


@pytest.mark.parametrize(
    "body",
    [
        'return request.claims["none"]',
        "raise SystemExit",
        "raise KeyboardInterrupt",
        "import asyncio; raise asyncio.CancelledError",
        "return rule(request)",
        "return None",
        "return 1",
        'return "yes"',
        "return []",
        'request.claims["sub"] = "root"',
        'request.params["id"] = "8"',
    ],
)
def test_a_rule_that_fails_lets_nothing_pass(body: str) -> None:
    """Whatever it raises, and whatever it returns that is not True or False."""
    asked = rule(body)
    with pytest.raises(RuleFailed):
        asked.allows(REQUEST)
    assert (asked.calls, asked.errors, asked.refusals) == (1, 1, 0)


def test_a_failure_shows_no_claim(caplog: pytest.LogCaptureFixture) -> None:
    asked = rule('raise ValueError(request.claims["token"])')
    with pytest.raises(RuleFailed):
        asked.allows(Request("GET", "/", claims={"token": "a secret"}))
    assert "the rule rules.py:rule raised ValueError in line 2" in caplog.text
    assert "a secret" not in caplog.text


SLEEP = "import time; time.sleep(60)"


def test_a_slow_rule_is_told(caplog: pytest.LogCaptureFixture) -> None:
    asked = rule(f"import time; time.sleep({SLOW_SECONDS * 2}); return True")
    assert asked.allows(REQUEST)
    assert asked.slow == 1
    assert "all other requests of the worker waited for it" in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        SLEEP,
        "import re; re.fullmatch('(a+)+', 'a' * 64 + 'b')",
        f"""
    for _ in range(3):
        try: {SLEEP}
        except BaseException: pass
    return True""",
        f"""
    try: {SLEEP}
    finally: {SLEEP}""",
    ],
)
def test_a_rule_that_never_ends_is_ended(body: str, caplog: pytest.LogCaptureFixture) -> None:
    """It fails then, also if it swallows what interrupts it; the next rule has all its time."""
    code = f"def rule(request):\n    {body}\n"
    with TimeLimit(seconds=0.05) as limit:
        asked = Rule(source(code), RuleLoader().function(source(code)), limit)
        with pytest.raises(RuleFailed):
            asked.allows(REQUEST)
        assert (asked.calls, asked.errors, asked.slow) == (1, 1, 1)
        assert "raised TookTooLong in line " in caplog.text
        assert "in line 1" not in caplog.text
        limit.run(lambda: time.sleep(0.02))
        time.sleep(0.1)  # the timer has been stopped


def test_a_rule_that_cannot_be_ended_ends_its_process() -> None:
    """Otherwise the worker would serve no request any more. A supervisor starts another one."""
    code = """
import time
from gateway.rules.time_limit import TimeLimit

def rule():
    while True:
        try: time.sleep(60)
        except BaseException: pass

TimeLimit(0.05).run(rule)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=HANG, check=False
    )
    assert done.returncode == 1
    assert b":7 cannot be interrupted" in done.stderr


def test_what_a_rule_changes_is_its_own() -> None:
    """The claims stand in a session that other requests have as well."""
    claims = {"roles": ["user"], "realm_access": {"roles": ["user"]}}
    body = 'request.claims["roles"].append("admin"); request.claim("realm_access").clear()'
    assert rule(f"{body}; return True").allows(Request("GET", "/", claims=claims))
    assert claims == {"roles": ["user"], "realm_access": {"roles": ["user"]}}


def test_a_file_is_run_once() -> None:
    """Routes with one rule share it, and rules of one file its module."""
    code = "count = 0\ncount += 1\ndef one(request): return True\ndef two(request): return True"
    rules = RuleSet()
    first, second = rules.rule(source(code, "one")), rules.rule(source(code, "two"))
    assert rules.rule(source(code, "one")) is first
    assert rules.all() == [first, second]
    loader = RuleLoader()
    one, two = (loader.function(source(code, name)) for name in ("one", "two"))
    assert one.__globals__ is two.__globals__


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("def rule(request:", "cannot be loaded: rules.py:1: "),
        ("\0", "cannot be loaded: rules.py:1: "),
        ("\nimport no_such_module", "rules.py:2: No module named 'no_such_module'"),
        ('\n\nraise ValueError("a secret")', "cannot be loaded: rules.py:3: ValueError"),
        ("raise SystemExit", "rules.py:1: SystemExit"),
        ("def rules(request): return True", "names no function of rules.py; is rules meant?"),
        ("rule = 1", "names no function"),
        ("class rule: pass", "names no function"),
        ("def rule(): return True", "must take one argument"),
        ("def rule(a, b): return True", "must take one argument"),
        ("def rule(*, request): return True", "must take one argument"),
        ("async def rule(request): return True", "is async"),
        ("def rule(request): yield True", "yields"),
        ("class C:\n async def __call__(self, request): return True\nrule = C()", "is async"),
        ("class C:\n def __call__(self, request): yield True\nrule = C()", "yields"),
        ("def rule(request): return True\0", "cannot be loaded"),
    ],
)
def test_what_cannot_be_loaded(code: str, complaint: str) -> None:
    with pytest.raises(BadRule) as error:
        RuleLoader().function(source(code))
    assert complaint in str(error.value)
    assert "a secret" not in str(error.value)


def test_what_a_file_may_hold(tmp_path: Path) -> None:
    """Neighbours, dataclasses, defaults; nothing is written, and no path is left behind."""
    (tmp_path / "neighbour_of_rules.py").write_text("ALLOWED = True\n")
    code = """
from __future__ import annotations
from dataclasses import dataclass
from neighbour_of_rules import ALLOWED

@dataclass
class Team:
    name: str

def rule(request, team=Team("a")):
    return ALLOWED and team.name == "a"
"""
    path = list(sys.path)
    function: Callable[..., Any] = RuleLoader().function(
        source(code, file=str(tmp_path / "rules.py"))
    )
    assert function(REQUEST) is True
    assert sys.path == path
    assert [file.name for file in tmp_path.iterdir()] == ["neighbour_of_rules.py"]


def test_neighbours_are_those_of_the_files_own_folder(tmp_path: Path) -> None:
    """Another folder may have modules, packages and folders of the same names."""
    code = "import teams\nfrom rights import edit\nfrom more.rights import read\nimport colorsys\n"
    code += "def rule(request): return [teams.NAME, edit.NAME, read.NAME]"
    loader = RuleLoader()
    sources = []
    for name in ("a", "b"):
        for file in ("teams.py", "rights/__init__.py", "rights/edit.py", "more/rights/read.py"):
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_text(f"NAME = '{name}'")
        sources.append(source(code, file=str(tmp_path / name / "rules.py")))
    functions: list[Callable[..., Any]] = [loader.function(one) for one in sources]
    assert [function(REQUEST) for function in functions] == [["a"] * 3, ["b"] * 3]
    assert "colorsys" in sys.modules
    assert not {"teams", "rights", "more.rights"} & sys.modules.keys()


def test_neighbours_are_read_once(tmp_path: Path) -> None:
    """So a worker that starts later runs the same code, whatever becomes of the files."""
    folder = tmp_path / "more" / "rights"
    folder.mkdir(parents=True)
    (folder / "read.py").write_text("ALLOWED = True")
    code = "from more.rights import read\ndef rule(request): return read.ALLOWED"
    first = RuleLoader()
    rule = source(code, file=str(tmp_path / "rules.py"))
    first.function(rule)
    rule = first.with_neighbours(rule)
    shutil.rmtree(tmp_path / "more")
    (tmp_path / "more.py").write_text("x = 1")
    function: Callable[..., Any] = RuleLoader().function(rule)
    assert function(REQUEST) is True
    assert b"ALLOWED" in dict(rule.neighbours or ())[str(folder / "read.py")]


def test_a_file_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also for commands that load it in their own process. The signal is free again after that."""
    monkeypatch.setattr(loading, "MAX_LOAD_SECONDS", 0.05)
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(BadRule, match=r"cannot be loaded: rules.py:2: takes longer than 0.05 s"):
        RuleLoader().function(source("\nimport time; time.sleep(60)"))
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


@pytest.mark.parametrize("text", ["", "rules.py", "rules:may", "rules.py:", "rules.py:a.b", ":a"])
def test_what_names_no_rule(text: str) -> None:
    with pytest.raises(BadRule):
        parse_source(text)
    assert str(parse_source("./a b/rules.py:may_edit")) == "./a b/rules.py:may_edit"
