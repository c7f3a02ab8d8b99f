"""The lab's sandbox provider, seen from outside: its switches, and tokens that an app got from it by itself."""

import base64
import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import httpx2

from tests.parts.browser import Browser

ELSEWHERE = "http://127.0.0.1:9/callback"
"""The redirect URI of the app's former home. Nothing listens there; the scripted browser stops before it."""


@dataclass(frozen=True)
class Tokens:
    access: str
    refresh: str
    scopes: list[str]


class Sandbox:
    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self._web = httpx2.Client(timeout=30, trust_env=False)
        client = self.state()["client"]
        self.client_id: str = client["id"]
        self.client_secret: str = client["secret"]
        self.authorize_url, self.token_url = f"{base_url}/authorize", f"{base_url}/token"

    def close(self) -> None:
        self._web.close()

    def state(self) -> dict[str, Any]:
        return dict(self._web.get(f"{self.base_url}/control/state").json())

    def requests(self, grant_type: str) -> int:
        """Return how many token requests of that kind came in so far."""
        return int(self.state()["counters"][grant_type])

    @contextmanager
    def switched(self, **switches: Any) -> Iterator[None]:
        """Let it misbehave for a while."""
        before = self.state()["switches"]
        self._control("switches", switches)
        try:
            yield
        finally:
            self._control("switches", {name: before[name] for name in switches})

    def revoke_all(self) -> None:
        """Everybody takes the app's access back."""
        self._control("revoke", {})

    def add_client(self, client_id: str, client_secret: str) -> None:
        self._control("clients", {"client_id": client_id, "client_secret": client_secret})

    def admits(self, access_token: str) -> dict[str, Any] | None:
        """Return whose token this is and what it may do; None if the provider's API refuses it."""
        reply = self._web.get(f"{self.base_url}/api/me", headers={"authorization": f"Bearer {access_token}"})
        return dict(reply.json()) if reply.status_code == 200 else None

    def grant(self, *scopes: str) -> Tokens:
        """Return tokens that the app got without Holdfast: somebody consented to `scopes`, the app used the code."""
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        asked = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": ELSEWHERE,
            "scope": " ".join(scopes or ("read", "offline")),
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        with Browser() as person:
            landed = person.walk(f"{self.authorize_url}?{urlencode(asked)}", stop_at=ELSEWHERE)
        code = parse_qs(urlsplit(landed).query)["code"][0]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": ELSEWHERE, "code_verifier": verifier}
        reply = self._web.post(self.token_url, data=form, auth=(quote(self.client_id), quote(self.client_secret, "")))
        found = reply.raise_for_status().json()
        return Tokens(found["access_token"], found["refresh_token"], found["scope"].split())

    def _control(self, what: str, body: dict[str, Any]) -> None:
        self._web.post(f"{self.base_url}/control/{what}", json=body).raise_for_status()
