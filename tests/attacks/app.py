"""An app beside a running Holdfast: what the attacks are tried with."""

import itertools
import json
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2

from holdfast.oauth2 import pkce
from tests.parts.browser import Browser, Page
from tests.parts.server import HoldfastProcess

RETURN_TO = "http://localhost:3000/connected"
ADA, GRACE = "ada@sandbox.test", "grace@sandbox.test"
_numbers = itertools.count(1)


def anyone() -> str:
    """A user id that nobody else has in this run."""
    return f"user_{os.getpid()}_{next(_numbers)}"


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query, keep_blank_values=True).items()}


@dataclass
class App:
    """An app with an API key. Its answers are raw: a test says itself which status it expects."""

    base_url: str
    api_key: str
    http: httpx2.Client = field(default_factory=lambda: httpx2.Client(timeout=60, trust_env=False), repr=False)

    @classmethod
    def of(cls, server: HoldfastProcess) -> "App":
        return cls(server.base_url, server.api_key)

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> httpx2.Response:
        headers = {"authorization": f"Bearer {self.api_key}", **more.pop("headers", {})}
        return self.http.request(method, self.base_url + path, json=body, headers=headers, **more)

    def make_sandbox(self, name: str = "sandbox") -> None:
        """Set the sandbox provider up, if it is not yet."""
        client = self.state()["client"]
        reply = self.call(
            "POST",
            "/data-integrations",
            {
                "provider": "sandbox",
                "enabled": True,
                "credentials": {"type": "custom", "client_id": client["id"], "client_secret": client["secret"]},
            },
        )
        assert reply.status_code in (201, 409), reply.text

    def make_custom(self, slug: str, origin: str, secret: str = "a-client-secret", **definition: Any) -> str:
        """Define a provider of our own and an integration for it; return its redirect URI."""
        reply = self.call(
            "POST",
            "/data-integrations",
            {
                "provider": slug,
                "enabled": True,
                "scopes": ["read"],
                "credentials": {"type": "custom", "client_id": "app", "client_secret": secret},
                "custom_provider": {
                    "name": slug.title(),
                    "authorization_url": f"{origin}/authorize",
                    "token_url": f"{origin}/token",
                    **definition,
                },
            },
        )
        assert reply.status_code == 201, reply.text
        return str(reply.json()["redirect_uri"])

    def authorize(self, user: str, slug: str = "sandbox", **more: Any) -> httpx2.Response:
        return self.call("POST", f"/data-integrations/{slug}/authorize", {"user_id": user, **more})

    def link(self, user: str, slug: str = "sandbox", **more: Any) -> str:
        reply = self.authorize(user, slug, **{"return_to": RETURN_TO, **more})
        assert reply.status_code == 200, reply.text
        return str(reply.json()["url"])

    def connect(self, user: str, slug: str = "sandbox", *, person: str | None = None, **more: Any) -> str:
        """Walk a user's browser through; return where the app got it back."""
        with Browser() as browser:
            return browser.walk(self.link(user, slug, **more), stop_at=RETURN_TO, choose=person)

    def token(self, user: str, slug: str = "sandbox", **more: Any) -> Any:
        return self.call("POST", f"/data-integrations/{slug}/token", {"user_id": user, **more}).json()

    def has_account(self, user: str, slug: str = "sandbox") -> bool:
        reply = self.call("GET", f"/user_management/users/{user}/connected_accounts/{slug}")
        assert reply.status_code in (200, 404), reply.text
        return reply.status_code == 200

    def account(self, user: str, slug: str = "sandbox") -> Any:
        reply = self.call("GET", f"/user_management/users/{user}/connected_accounts/{slug}")
        assert reply.status_code == 200, reply.text
        return reply.json()

    # the sandbox's control page

    def switch(self, **switches: Any) -> None:
        self.control("switches", switches)

    def control(self, what: str, body: Any = None) -> Any:
        reply = self.http.post(f"{self.base_url}/lab/sandbox/control/{what}", json=body or {})
        assert reply.status_code == 200, reply.text
        return reply.json()

    def state(self) -> Any:
        return self.http.get(f"{self.base_url}/lab/sandbox/control/state").json()

    def codes_tried(self) -> int:
        """How many POSTs with a code the sandbox's token endpoint has seen."""
        return int(self.state()["counters"]["authorization_code"])

    def refreshes(self) -> int:
        return int(self.state()["counters"]["refresh_token"])


def begin_at_provider(browser: Browser, link: str) -> Page:
    """Open the link, press the button, and stop on the redirect to the provider, not asked for yet."""
    page = browser.get(link, follow=False)
    return page if page.redirect else browser.submit(page, follow=False)


def callback_of(browser: Browser, link: str, *, person: str | None = None) -> str:
    """Consent at the provider; return the callback address with its code, not asked for."""
    url = begin_at_provider(browser, link).redirect
    assert url is not None
    return browser.walk(url, stop_at=query_of(url)["redirect_uri"], choose=person)


def challenge() -> tuple[str, dict[str, str]]:
    """Return a verifier and what goes into `authorize` for it."""
    verifier = pkce.new_verifier()
    return verifier.reveal(), {"code_challenge": pkce.s256(verifier), "code_challenge_method": "S256"}


def database_file(server: HoldfastProcess) -> Path:
    return server.data_dir / "holdfast.db"


def refused(reply: httpx2.Response, *statuses: int) -> Any:
    """Return the body of an answer that has one of these statuses and the shape of this wire's errors."""
    assert reply.status_code in statuses, (reply.status_code, reply.text[:500])
    assert reply.headers["content-type"].startswith("application/json")
    assert reply.headers["x-request-id"].startswith("req_")
    body = reply.json()
    assert isinstance(body["message"], str)
    assert len(reply.text) < 4000
    assert isinstance(body["code"], str)
    assert set(body) <= {"message", "code", "errors", "retry_after"}, "no `error`: the SDK would take it for OAuth's"
    return body


def raw(app: App, method: str, path: str, content: Any, **headers: str) -> httpx2.Response:
    return app.http.request(
        method,
        app.base_url + path,
        content=content,
        headers={"authorization": f"Bearer {app.api_key}", "content-type": "application/json", **headers},
    )


def over_a_socket(app: App, request_line: str, body: bytes, *headers: str) -> tuple[int, Any]:
    """Send a request exactly as written; return the status (0 = hung up) and the body, if it is JSON."""
    parts = urlsplit(app.base_url)
    head = [request_line, "Host: x", f"Authorization: Bearer {app.api_key}", "Connection: close", *headers]
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=30) as line:
        try:
            line.sendall("\r\n".join([*head, "", ""]).encode() + body)
            received = b"".join(iter(lambda: line.recv(65_536), b""))
        except (ConnectionResetError, BrokenPipeError):
            return 0, None
    if not received:
        return 0, None
    content = received.partition(b"\r\n\r\n")[2]
    return int(received.split(b" ")[1]), json.loads(content) if content.startswith(b"{") else None
