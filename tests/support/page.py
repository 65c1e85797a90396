"""A page, as far as tests look at one: its elements in their order, each with all of its text."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = frozenset({"meta", "link", "br", "img", "input", "hr"})


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""
    inside: list["Element"] = field(default_factory=list)

    def all(self, tag: str) -> list["Element"]:
        """The elements of a kind in it, at any depth."""
        return [element for element in self.everything() if element.tag == tag]

    def the(self, tag: str) -> "Element":
        """The only one of its kind."""
        [found] = self.all(tag)
        return found

    def everything(self) -> list["Element"]:
        return [found for child in self.inside for found in (child, *child.everything())]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open = [Element("document", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inside.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


def read_page(body: bytes) -> Element:
    """Reads HTML in which every element is closed."""
    reader = _Reader()
    reader.feed(body.decode())
    [document] = reader.open
    for element in document.everything():
        element.text = " ".join(element.text.split())
    return document
