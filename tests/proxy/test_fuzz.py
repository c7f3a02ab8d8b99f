"""Whatever is accepted stays in its place: any path beneath its base, any header one header of one request."""

import posixpath
import string
from urllib.parse import unquote, urlsplit

import httptools
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import Invalid
from holdfast.outbound import Blocked, Outgoing, target_of
from holdfast.outbound.outgoing import written
from holdfast.proxy.address import check_path, check_query, joined
from holdfast.proxy.headers import onward

BASE = "/api/v1"
PIECES = (
    *("/", "//", ".", "..", "%2e", "%2E", "%252e", "%2f", "%2F", "%252F", "\\", "%5c", ";", "@", ":", "#", "?", "%"),
    *(
        "a",
        "v1",
        "api",
        "http:",
        "https://evil",
        "%00",
        "%0d%0a",
        "\r\n",
        " ",
        "\t",
        "\x00",
        "é",
        "%c0%ae",
        "&",
        "=",
        "..;",
    ),
)
paths = st.lists(st.sampled_from(PIECES), max_size=8).map(lambda parts: "/" + "".join(parts))
names = st.text(alphabet=string.ascii_lowercase + "-:\r\n \x00", min_size=0, max_size=8).map(str.encode)
values = st.binary(max_size=12) | st.sampled_from(
    [b"x\r\nhost: evil", b"x\nb: c", b"x\r", b"a\r\n\r\nGET / HTTP/1.1\r\n"]
)


@settings(max_examples=1500, deadline=None)
@given(paths)
def test_an_accepted_path_cannot_leave_the_apis_own(path: str) -> None:
    try:
        check_path(path)
    except Invalid:
        return
    whole = joined(BASE, path)
    seen = urlsplit(f"https://api.example.com{whole}")
    assert (seen.netloc, seen.fragment) == ("api.example.com", "")
    assert whole.isascii()
    assert whole.isprintable()
    text = seen.path
    for _ in range(4):  # however often a server decodes, and wherever it looks for dots
        stripped = "/".join(segment.split(";")[0] for segment in text.split("/"))
        for form in (text, stripped, text.replace("\\", "/")):
            assert posixpath.normpath(form).startswith(BASE), form
        text = unquote(text)


class Parsed:
    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.url = b""
        self.messages = 0

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_message_complete(self) -> None:
        self.messages += 1


@settings(max_examples=1500, deadline=None)
@given(st.lists(st.tuples(names, values), max_size=4), paths)
def test_accepted_headers_are_these_headers_of_one_request(pairs: list[tuple[bytes, bytes]], path: str) -> None:
    target = target_of("https://api.example.com/", allow_private=False)
    try:
        check_path(path)
        check_query("")
        kept = onward(pairs)
        head = written(Outgoing("GET", target, path.encode(), list(kept.items())))
    except (Invalid, Blocked):
        return
    parsed = Parsed()
    httptools.HttpRequestParser(parsed).feed_data(head)
    assert parsed.messages == 1
    assert parsed.url == path.encode()
    sent = [(b"host", b"api.example.com"), *((name, value.strip(b" \t")) for name, value in kept.items())]
    assert [(name.lower(), value.rstrip(b" \t")) for name, value in parsed.headers] == sent
