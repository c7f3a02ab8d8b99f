"""Attack by size: bodies, headers and addresses without end, and lengths that lie (security list, row 41)."""

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.attacks.app import App, over_a_socket, raw, refused

TOKEN = "/data-integrations/sandbox/token"


@pytest.mark.parametrize("size", [1_048_577, 5_000_000])
def test_an_oversized_body_is_413(app: App, size: int) -> None:
    content = json.dumps({"user_id": "a" * size}).encode()
    assert refused(raw(app, "POST", TOKEN, content), 413)["code"] == "request_body_too_large"


def test_an_oversized_body_without_a_declared_length_is_413_too(app: App) -> None:
    def chunks() -> Iterator[bytes]:
        yield b'{"user_id": "'
        for _ in range(40):
            yield b"a" * 65_536
        yield b'"}'

    assert refused(raw(app, "POST", TOKEN, chunks()), 413)["code"] == "request_body_too_large"


def test_a_length_that_lies_isrefused(app: App) -> None:
    line = f"POST {TOKEN} HTTP/1.1"
    for declared in ("999999999999", "-1", "1e9", "0x10", "+5", "5, 5", "5\r\nContent-Length: 6"):
        status, _ = over_a_socket(app, line, b'{"user_id": "a"}', f"Content-Length: {declared}")
        assert status in (400, 413), declared


def test_a_length_and_chunks_at_once_arerefused(app: App) -> None:
    """Request smuggling: RFC 9112 section 6.1."""
    status, _ = over_a_socket(
        app, f"POST {TOKEN} HTTP/1.1", b"0\r\n\r\n", "Content-Length: 5\r\nTransfer-Encoding: chunked"
    )
    assert status in (400, 422)


def test_a_caller_who_hangs_up_in_the_middle_of_a_body_hurts_nobody(app: App) -> None:
    parts = urlsplit(app.base_url)
    for _ in range(20):
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as line:
            head = f"POST {TOKEN} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {app.api_key}\r\nContent-Length: 50\r\n"
            line.sendall(f"{head}\r\n{{".encode())
    assert app.call("POST", TOKEN, {"user_id": "a"}).status_code == 200


@pytest.mark.parametrize(
    "head",
    ["X-Long: " + "a" * 2_000_000, "\r\n".join(f"X-{number}: {'a' * 100}" for number in range(20_000))],
    ids=["one header", "many headers"],
)
def test_headers_without_end_are_cut_off(app: App, head: str) -> None:
    """Before the key is looked at: anybody could fill the memory."""
    status, _ = over_a_socket(app, "GET /data-integrations HTTP/1.1", b"", head)
    assert status in (0, 400)
    assert app.call("GET", "/data-integrations").status_code == 200


def test_an_address_without_end_is_cut_off(app: App) -> None:
    status, _ = over_a_socket(app, f"GET /{'a' * 2_000_000} HTTP/1.1", b"")
    assert status in (0, 400)


def test_headers_of_an_ordinary_size_pass(app: App) -> None:
    for _ in range(3):
        assert app.call("GET", "/data-integrations", headers={"x-long": "a" * 30_000}).status_code == 200
