"""`gateway rules test`: rules on their examples, and on one request."""

import os
from pathlib import Path

import pytest

from tests.support.command_line import Done, run
from tests.support.gateway import REPOSITORY

RULES = """
def may_edit(request):
    return request.has("items", request.params["id"])
"""
EXAMPLES = """
may_edit:
  - {allow: PUT /items/7, claims: {items: ["7"]}}
  - {refuse: PUT /items/8, claims: {items: ["7"]}, params: {id: "8"}}
"""
CONFIG = """
version: 1
upstreams: {shop: "http://127.0.0.1:9000"}
routes: [{path: "/items/{id}", upstream: shop, require: {rules: ./rules.py:may_edit}}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules.py").write_text(RULES)
    (tmp_path / "rules.examples.yaml").write_text(EXAMPLES)
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def tried(folder: Path, *words: str) -> Done:
    return run("rules", "test", *words, cwd=folder)


def test_all_rules_of_a_configuration(folder: Path) -> None:
    """The segments of the paths are those of a route, or are named."""
    done = tried(folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "rules.py:may_edit",
        "  ok    allows PUT /items/7",
        "  ok    refuses PUT /items/8",
        "2 tried, 0 wrong",
    ]


def test_a_wrong_example_is_exit_code_1(folder: Path) -> None:
    (folder / "rules.examples.yaml").write_text(EXAMPLES.replace("refuse:", "allow:"))
    done = tried(folder)
    assert done.returncode == 1
    assert "  WRONG refuses PUT /items/8\n2 tried, 1 wrong" in done.stdout


def test_one_request(folder: Path) -> None:
    """Options may stand anywhere; the path is read as on the wire. A rule that raises is wrong."""
    asked = ("./rules.py:may_edit", "--claims", '{"items": ["7"]}', "GET", "/items/7")
    for path in ("/items/7", "/items/%37?page=2"):
        done = tried(folder, *asked[:-1], path, "--route", "/items/{id}")
        assert (done.returncode, done.stdout.splitlines()[1]) == (0, "  ok    allows GET /items/7")
    done = tried(folder, *asked)
    assert done.returncode == 1
    assert "WRONG raises KeyError in line 3 ('id') on GET /items/7" in done.stdout


def test_a_rule_does_not_end_the_command(folder: Path) -> None:
    """Else it would choose the exit code."""
    (folder / "rules.py").write_text("def may_edit(request):\n    raise SystemExit(0)\n")
    done = tried(folder)
    assert done.returncode == 1
    assert "WRONG raises SystemExit in line 2" in done.stdout


@pytest.mark.parametrize("name", ["rules.py", "rules.examples.yaml"])
def test_a_pipe_is_no_file(folder: Path, name: str) -> None:
    """The command would wait for a writer."""
    (folder / name).unlink()
    os.mkfifo(folder / name)
    done = tried(folder, "./rules.py:may_edit")
    assert done.returncode == 2
    assert "cannot be read: is not a regular file" in done.stderr


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["rules.py"], "names no rule"),
        (["./rules.py:may_edi"], "is may_edit meant?"),
        (["./none.py:may_edit"], "cannot be read"),
        (["./rules.py:may_edit", "GET"], "name a method and a path"),
        (["./rules.py:may_edit", "GET", "/", "--claims", "x"], "is not JSON"),
        (["./rules.py:may_edit", "GET", "/", "--route", "/items/{id}"], "does not fit its route"),
        (["-c", "none.yaml"], "none.yaml"),
    ],
)
def test_what_cannot_be_tried(folder: Path, words: list[str], complaint: str) -> None:
    done = tried(folder, *words)
    assert done.returncode == 2
    assert complaint in done.stderr


@pytest.mark.parametrize(
    ("examples", "complaint"),
    [
        ("may_edit: [{allow: GET /, refuse: GET /}]", "needs one of allow and refuse"),
        ("may_edit: [{allow: /}]", "needs a method and a path"),
        ("may_edit: [{allow: GET /, claim: {}}]", "has an unknown key: claim"),
        ("may_edit: [{allow: GET /, claims: []}, {allow: GET /, claims: 1}]", "example 2"),
        ("[]", "needs a list of examples"),
        ("{", "is not YAML"),
    ],
)
def test_examples_that_cannot_be_read(folder: Path, examples: str, complaint: str) -> None:
    (folder / "rules.examples.yaml").write_text(examples)
    done = tried(folder)
    assert done.returncode == 2
    assert complaint in done.stderr


def test_the_demo() -> None:
    done = run("rules", "test", str(REPOSITORY / "demo" / "rules.py") + ":may_edit")
    assert done.returncode == 0, done
