"""An app and a person at the sandbox: what the tests of this room drive it with."""

import base64
import re
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlsplit

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from holdfast.clock import FrozenClock
from holdfast.lab import Sandbox, sandbox_routes
from holdfast.oauth2 import pkce

BASE = "http://localhost:8787/lab/sandbox"
CALLBACK = "http://localhost:8787/data-integrations/sandbox/dik_1/callback"
ADA = "ada@sandbox.test"


class Lab:
    """A sandbox with its clock, and what an app and a person do with it."""

    def __init__(self) -> None:
        self.clock = FrozenClock()
        self.sandbox = Sandbox(self.clock)
        self.app = Starlette(routes=[Mount("/lab/sandbox", routes=sandbox_routes(self.sandbox, BASE))])
        self.http = TestClient(self.app, base_url="http://localhost:8787", follow_redirects=False)
        self.verifier = pkce.new_verifier().reveal()

    def ask(self, **changes: str | None) -> Any:
        """Open the consent page. A change to None leaves the parameter out."""
        params = {
            "response_type": "code",
            "client_id": self.sandbox.client_id,
            "redirect_uri": CALLBACK,
            "scope": "profile read write offline",
            "state": "st-1&=",
            "code_challenge": pkce.s256(self.verifier),
            "code_challenge_method": "S256",
            **changes,
        }
        return self.http.get(
            f"{BASE}/authorize", params={name: value for name, value in params.items() if value is not None}
        )

    def press(self, page: Any, decision: str = "allow", person: str | None = None, untick: str = "") -> Any:
        """Fill in the page's form as a browser does, and press a button."""
        fields: dict[str, Any] = {"decision": decision}
        for tag in re.findall(r"<input[^>]*>", page.text):
            name, value = _attribute(tag, "name"), _attribute(tag, "value")
            if 'type="radio"' in tag and (person is not None or " checked" not in tag):
                continue
            if not (untick and value == untick):
                fields.setdefault(name, []).append(value)
        if person is not None:
            fields["person"] = person
        assert '<form method="post"' in page.text
        return self.http.post(str(page.url), data=fields)

    def code(self, **changes: str | None) -> str:
        return landed(self.press(self.ask(**changes)))["code"]

    def token(self, **form: str) -> Any:
        return self.http.post(f"{BASE}/token", data=form, headers={"authorization": self.basic()})

    def redeem(self, code: str, **changes: str) -> Any:
        form = {"code": code, "redirect_uri": CALLBACK, "code_verifier": self.verifier, **changes}
        return self.token(grant_type="authorization_code", **form)

    def connect(self, **changes: str | None) -> dict[str, Any]:
        reply = self.redeem(self.code(**changes))
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def refresh(self, token: str, **more: str) -> Any:
        return self.token(grant_type="refresh_token", refresh_token=token, **more)

    def basic(self) -> str:
        pair = f"{quote_plus(self.sandbox.client_id)}:{quote_plus(self.sandbox.client_secret.reveal())}"
        return "Basic " + base64.b64encode(pair.encode()).decode()

    def api(self, token: str, path: str = "/api/me", method: str = "GET", **more: Any) -> Any:
        return self.http.request(method, f"{BASE}{path}", headers={"authorization": f"Bearer {token}"}, **more)

    def control(self, path: str, body: dict[str, Any]) -> Any:
        return self.http.post(f"{BASE}/control/{path}", json=body)


def _attribute(tag: str, name: str) -> str:
    found = re.search(rf'{name}="([^"]*)"', tag)
    return found.group(1) if found else ""


def landed(reply: Any) -> dict[str, str]:
    assert reply.status_code == 303, reply.text
    assert reply.headers["location"].startswith(CALLBACK + "?")
    return {name: values[0] for name, values in parse_qs(urlsplit(reply.headers["location"]).query).items()}
