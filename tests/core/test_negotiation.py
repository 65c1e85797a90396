"""What a client would rather have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.http.negotiation import language, names_html, navigates, prefers, wants_page

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("TEXT/HTML", True),
        ("text/*", True),
        ("text/html;q=0.9, application/json;q=0.8", True),
        ("application/json;q=0.8 , text/html ; q=0.9", True),
        ("text/html;charset=utf-8", True),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/plain, */*", False),
        ("text/html, application/json", False),
        ("text/html, */*", False),
        ("text/html;q=0.5, */*", False),
        ("text/html;q=0, text/*", False),
        ("text/html;q=0, */*;q=0.1", False),
        ("text/html;q=2", False),
        ("text/html;q=, ;;,,q=1", False),
    ],
)
def test_a_page_or_json(accept: str, html: bool) -> None:
    """RFC 9110 §12.5.1: the most specific range counts; without a preference, it is a program."""
    assert prefers(accept, "text/html", "application/json") is html


@pytest.mark.parametrize(
    ("accept", "mode", "page", "goes"),
    [
        (BROWSER, None, True, True),
        (BROWSER, "navigate", True, True),
        (BROWSER, "cors", True, False),
        ("text/html;q=0", "navigate", False, False),
        ("*/*", "navigate", False, True),
        ("", "navigate", False, False),
        (None, "navigate", True, True),
        (None, "cors", False, False),
        (None, None, False, False),
    ],
)
def test_who_is_a_person(accept: str | None, mode: str | None, page: bool, goes: bool) -> None:
    """Accept decides over a page; a browser that navigates is sent on, unless it refuses HTML."""
    assert (wants_page(accept, mode), navigates(accept, mode)) == (page, goes)


@pytest.mark.parametrize(
    ("accept", "named"),
    [
        (BROWSER, True),
        ("text/html, application/json", True),
        ("application/json, text/html;q=0.001", True),
        ("text/html;q=0", False),
        ("text/html;q=0.000, */*", False),
        ("text/*, */*", False),
        ("", False),
    ],
)
def test_html_by_its_name(accept: str, named: bool) -> None:
    """A weight of 0 is a refusal (RFC 9110 §12.4.2)."""
    assert names_html(accept) is named


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        ("ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", "ko"),
        ("en-US,en;q=0.9,ko;q=0.8", "en"),
        ("ko", "ko"),
        ("KO-kr", "ko"),
        ("ko-Kore-KR", "ko"),
        ("kok", "en"),  # Konkani
        ("fr, ko;q=0.1", "ko"),
        ("fr", "en"),
        ("", "en"),
        ("*", "en"),
        ("en;q=0.5, *", "ko"),
        ("en;q=0, *;q=0.1", "ko"),
        ("ko;q=0", "en"),
        ("ko;q=0, *", "en"),
        ("ko;q=0.000, en;q=0.001", "en"),
        ("ko, en", "ko"),
        ("en, ko", "en"),
        ("ko;q=0, ko-KR", "ko"),
        ("ko;q=nonsense", "en"),
    ],
)
def test_the_language(accept: str, chosen: str) -> None:
    """RFC 9110 §12.5.4: the weights count, then the order; English where nothing fits."""
    assert language(accept, ("en", "ko")) == chosen


@given(st.text())
def test_any_field_has_an_answer(field: str) -> None:
    """Whatever a client sends."""
    assert language(field, ("en", "ko")) in ("en", "ko")
    prefers(field, "text/html", "application/json")
