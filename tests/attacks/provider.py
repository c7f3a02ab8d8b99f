"""A provider in an attacker's hands: a small HTTP server on loopback that notes what it is sent and answers as told."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: str

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body, keep_blank_values=True).items()}


@dataclass(frozen=True)
class Says:
    """An answer; a `body` that is no text is sent as JSON."""

    body: Any = ""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


class EvilProvider:
    """`answer` decides what a request is told; by default the token endpoint gives out a token."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.answer: Callable[[Seen], Says] = lambda _: Says({"access_token": "evil-token-1", "token_type": "Bearer"})
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _any(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("content-length", "0"))).decode()
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                headers = {name.lower(): value for name, value in self.headers.items()}
                seen = Seen(self.command, parts.path, query, headers, body)
                provider.seen.append(seen)
                says = provider.answer(seen)
                content = says.body.encode() if isinstance(says.body, str) else json.dumps(says.body).encode()
                self.send_response(says.status)
                for name, value in says.headers:
                    self.send_header(name, value)
                kind = "text/html" if isinstance(says.body, str) else "application/json"
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_HEAD = _any  # noqa: N815  (the base class looks for these names)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def posts(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.method == "POST"]
