"""Forms in parts, as browsers, curl and careless programs write them."""

import pytest

from gateway.core.http.multipart import fields

TYPE = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
END = b"--x--\r\n"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (PART % (b"a", b"1") + PART % (b"b", b"2") + END, [("a", "1"), ("b", "2")]),
        (b"preamble\r\n" + PART % (b"a", b"1") + END + b"epilogue", [("a", "1")]),
        (PART % (b"a", b"1\r\n2\r\n") + END, [("a", "1\r\n2\r\n")]),
        (PART % (b"\xc3\xa4", b"\xff") + END, [("ä", "\ufffd")]),
        ((PART % (b"a", b"1") + END).replace(b"\r", b""), [("a", "1")]),
        (b"--x \t\r\ncontent-disposition:form-data;name=a\r\nX: y\r\n\r\n1", [("a", "1")]),
        (PART.replace(b";", b";\r\n ") % (b"a", b"1") + END, [("a", "1")]),
        (b'--x\r\nContent-Disposition: file; filename="a"; name=b\r\n\r\n1', [("b", "1")]),
        (b'--x\r\nContent-Disposition: a; name="b"; name=c\r\n\r\n1', [("b", "1"), ("c", "1")]),
        (b"--x\r\nX: name=a\r\n\r\n1\r\n--x--", []),
        (b"--x\r\nContent-Disposition: form-data; name=a", []),
        (b"--xy\r\nContent-Disposition: form-data; name=a\r\n\r\n1", []),
        (b"", []),
    ],
)
def test_the_fields_of_a_body(body: bytes, expected: list[tuple[str, str]]) -> None:
    """RFC 7578 §4.2, and what readers of other parts may take for a name."""
    assert list(fields(TYPE, body)) == expected


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=x; boundary=y",
        f"multipart/form-data; boundary={'x' * 71}",
    ],
)
def test_a_boundary_that_nobody_can_be_sure_of(content_type: str) -> None:
    """Then there are no fields: two readers would find two bodies."""
    body = PART % (b"a", b"1") + END
    assert list(fields(content_type, body.replace(b"--x", b"--" + b"x" * 71))) == []
    assert list(fields(content_type, body)) == []
