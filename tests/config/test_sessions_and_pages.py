"""What config.yaml may say of the list of sessions and of the pages' templates."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from gateway.cli.main import main
from gateway.config.load import load
from gateway.config.load_isolated import load_in_child
from tests.support.configs import MINIMAL, problems, write
from tests.support.gateway import REPOSITORY

HINT = "(sessions: /another/path moves it, sessions: off turns it off)"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", "/sessions"),
        ("sessions: /my/devices", "/my/devices"),
        ("sessions: {path: /my/devices}", "/my/devices"),
        ("sessions: {}", "/sessions"),
        ("sessions: off", None),
        ("sessions: 'off'", None),
        ("sessions: false", None),
        ("sessions: {path: off}", None),
    ],
)
def test_where_the_list_is(tmp_path: Path, text: str, path: str | None) -> None:
    """There is one unless it is turned off; the schema for editors allows each way to say so."""
    file = write(tmp_path, MINIMAL + text)
    assert load(file, {}).sessions.path == path
    assert load_in_child(file).sessions.path == path
    schema: Any = json.loads((REPOSITORY / "docs/config.schema.json").read_text())
    jsonschema.validate(yaml.safe_load(file.read_text()), schema)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sessions: devices", "sessions.path: is not a path: it begins with a slash"),
        ("sessions: /devices/", "sessions.path: cannot end in a slash"),
        ("sessions: /", "sessions.path: cannot end in a slash"),
        ("sessions: /devices/*", "sessions.path: is one path"),
        ("sessions: true", "sessions.path: must be a text"),
        ("sessions: {idle_timeout: 5m}", "sessions.idle_timeout: is not known here"),
        ("sessions: /logout", "sessions.path: is the path of logout as well"),
    ],
)
def test_what_is_no_place_for_it(tmp_path: Path, text: str, message: str) -> None:
    """It is one path with others below it, and no route has it."""
    [problem] = problems(tmp_path, MINIMAL + text)
    assert problem.startswith("config.yaml:5:")
    assert message in problem


def test_it_is_in_the_way(tmp_path: Path) -> None:
    """A route or a login at its path is never reached: that is said, with what helps."""
    assert problems(
        tmp_path,
        """version: 1
upstreams: {shop: "http://x"}
login: {kind: backend, path: /sessions, upstream: shop}
routes:
  - {path: /sessions/*, upstream: shop}
  - {path: /sessions/new, upstream: shop}
  - {path: /sessionsfoo, upstream: shop}
  - {path: /*, upstream: shop}
""",
    ) == [
        f"config.yaml:3:30: login.path: is the path of sessions as well {HINT}",
        f"config.yaml:5:12: routes[0].path: is never reached: sessions answers there {HINT}",
        f"config.yaml:6:12: routes[1].path: is never reached: sessions answers there {HINT}",
    ]
    text = MINIMAL.replace("/*,", "/sessions/*,")
    assert problems(tmp_path, text) == [
        f"config.yaml:4:17: routes[0].path: is never reached: sessions answers there {HINT}"
    ]
    load(write(tmp_path, text + "sessions: off"), {})


def test_a_login_below_the_list(tmp_path: Path) -> None:
    """An exact path beats a prefix, for endpoints as for routes."""
    text = "login: {kind: backend, path: /sessions/new, upstream: shop}"
    load(write(tmp_path, MINIMAL + text), {})


def test_the_routes_command_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`gateway routes` prints what the gateway itself answers, as long as it does."""
    assert main(["routes", "-c", str(write(tmp_path, MINIMAL))]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["/sessions", "GET,HEAD", "sessions", "gateway"] in rows
    assert ["/sessions/*", "DELETE,POST", "sessions", "gateway"] in rows
    assert main(["routes", "-c", str(write(tmp_path, MINIMAL + "sessions: off"))]) == 0
    assert "sessions" not in capsys.readouterr().out


def test_a_log_may_be_off_without_quotes(tmp_path: Path) -> None:
    """YAML 1.1 reads `off` as false, and people mean what they write."""
    for text in ("access_log: off", "access_log: 'off'"):
        assert load(write(tmp_path, MINIMAL + text), {}).access_log == "off"


# Templates.


def with_templates(folder: Path, **files: str) -> str:
    """A configuration with these templates (`__` stands for a dot)."""
    (folder / "mine").mkdir()
    for name, text in files.items():
        (folder / "mine" / name.replace("__", ".")).write_text(text)
    return MINIMAL + "pages: {templates: ./mine}"


def test_the_folder_is_relative_to_the_file(tmp_path: Path) -> None:
    """As every path in config.yaml is; a folder of good templates is fine, and so is an empty one."""
    text = with_templates(tmp_path)
    assert load(write(tmp_path, text), {}).pages.templates == str(tmp_path / "mine")
    (tmp_path / "mine" / "sessions.html").write_text(
        '{% extends "base.html" %}{% block main %}'
        "{% for each in devices %}{{ each.name }}{{ each.created.ago }}{% endfor %}{% endblock %}"
    )
    (tmp_path / "mine" / "notes.txt").write_text("{% no template")
    load(write(tmp_path, text), {})


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """It is said before a page is shown."""
    assert problems(tmp_path, MINIMAL + "pages: {templates: ./mine}") == [
        "config.yaml:5:20: pages.templates: is not a folder"
    ]


@pytest.mark.parametrize(
    ("name", "text", "line", "message"),
    [
        ("sessions__html", "\n\n{% for x in %}", 3, "Expected an expression"),
        ("sessions__html", "<p>\n{{ devices | nonsense }}", 2, "No filter named 'nonsense'"),
        ("sessions__html", "<p>\n{{ devcies }}", 2, "'devcies' is undefined"),
        ("refusal__html", "\n{{ notice.headline }}", 2, "has no attribute 'headline'"),
        ("base__html", "<p>\n<p>{% endif %}", 2, "unknown tag 'endif'"),
        ("sessions__html", '{% include "header.html" %}', 1, "there is no template header.html"),
        ("sessions__html", "{{ 1 / 0 }}", 1, "ZeroDivisionError"),
        ("sessions__html", "{% if devices|length == 1 %}\n{{ x }}{% endif %}", 2, "undefined"),
        ("style__css", "{{ }}", 1, "Expected an expression"),
    ],
)
def test_a_broken_template(tmp_path: Path, name: str, text: str, line: int, message: str) -> None:
    """The gateway does not start, and says which template is wrong, in which line, and why."""
    [problem] = problems(tmp_path, with_templates(tmp_path, **{name: text}))
    assert problem.startswith(f"mine/{name.replace('__', '.')}:{line}:1: pages.templates: ")
    assert message in problem


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("en:\n  titel: Mine", 2, "titel is not known here (did you mean title?)"),
        ("en:\n  language: ko", 2, "language is not known here"),
        ("en:\n  log_in:\n    headline: x", 3, "headline is not known here"),
        ("en: {notices: {no_rout: {}}}", 1, "no_rout is not known here (did you mean no_route?)"),
        ("en: {title: [a]}", 1, "must be a text"),
        ("en:\n  log_in: Enter", 2, "must be a mapping of names"),
        ("- en", 1, "must be a mapping of names"),
        ("en: {minutes: a minute}", 1, "minutes must be two texts: singular and plural"),
        ("en: {minutes: [a minute, some]}", 1, "needs {} as in: {} minutes ago"),
        ("en: {log_in_with: 'With {0.__class__}'}", 1, "needs {} as in: Continue with {}"),
        ("en: {log_in_with: 'With {} {'}", 1, "needs {} as in"),
        ("en: {log_in_with: 'With {name}'}", 1, "needs {} as in"),
        ("en-GB: {title: x}", 1, "en-GB is not a language: it has two or three letters, as en"),
        ("en: {\n", 2, "is not YAML"),
        ("en: \x00", 1, "is not UTF-8 text"),
    ],
)
def test_a_text_that_cannot_be(tmp_path: Path, text: str, line: int, message: str) -> None:
    """As for templates: it is said where and why, before a page is shown."""
    [problem] = problems(tmp_path, with_templates(tmp_path, texts__yaml=text))
    assert problem.startswith(f"mine/texts.yaml:{line}:1: pages.templates: ")
    assert message in problem


@pytest.mark.parametrize("text", ["", "# nothing yet", "ko: {title: '내 기기'}", "fr: {}"])
def test_texts_that_are_fine(tmp_path: Path, text: str) -> None:
    """What is left out is as the gateway says it; and so is all, if nothing is there."""
    load(write(tmp_path, with_templates(tmp_path, texts__yaml=text)), {})
