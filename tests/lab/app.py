"""An app that uses the sandbox as its provider, and the person who uses the app. Knows the RFCs and nothing else."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlsplit

import httpx2

from holdfast.clock import FrozenClock
from holdfast.lab import Sandbox
from holdfast.oauth2 import pkce

CALLBACK = "http://localhost:3999/callback?tab=1"
ALL_SCOPES = ("read", "write", "offline", "profile")


@dataclass(frozen=True)
class App:
    base: str
    sandbox: Sandbox
    clock: FrozenClock
    web: httpx2.AsyncClient

    async def open(self, *, leave_out: Sequence[str] = (), **params: str) -> httpx2.Response:
        """Go to the authorization endpoint."""
        return await self.web.get(f"{self.base}/authorize", params=self._asked(leave_out, params))

    async def answer(
        self,
        *,
        as_person: str = "usr_ada",
        ticked: Sequence[str] = ALL_SCOPES,
        decision: str = "allow",
        leave_out: Sequence[str] = (),
        **params: str,
    ) -> dict[str, str]:
        """Press a button of the consent page; return the parameters that come back to the app."""
        reply = await self.web.post(
            f"{self.base}/authorize",
            params=self._asked(leave_out, params),
            data={"person": as_person, "scope": list(ticked), "decision": decision},
        )
        return brought_back(reply)

    def _asked(self, leave_out: Sequence[str], params: dict[str, str]) -> dict[str, str]:
        usual = {
            "response_type": "code",
            "client_id": self.sandbox.client_id,
            "redirect_uri": CALLBACK,
            "scope": " ".join(ALL_SCOPES),
            "state": "st/ate+1",
        }
        return {name: value for name, value in {**usual, **params}.items() if name not in leave_out}

    async def exchange(self, code: str, **params: str) -> httpx2.Response:
        return await self.token(grant_type="authorization_code", code=code, **{"redirect_uri": CALLBACK, **params})

    async def refresh(self, token: str, **params: str) -> httpx2.Response:
        return await self.token(grant_type="refresh_token", refresh_token=token, **params)

    async def token(self, *, basic: str | None = None, **form: str) -> httpx2.Response:
        """Send a token request as the app, authenticated by HTTP Basic (`basic` replaces the header's content)."""
        header = {"authorization": basic or self.basic()}
        return await self.web.post(f"{self.base}/token", data=form, headers=header)

    def basic(self) -> str:
        pair = f"{quote_plus(self.sandbox.client_id)}:{quote_plus(self.sandbox.client_secret.reveal())}"
        return "Basic " + base64.b64encode(pair.encode()).decode()

    async def connect(self, **answers: Any) -> dict[str, Any]:
        """Walk the whole code flow with PKCE; return the token reply."""
        verifier = pkce.new_verifier()
        landed = await self.answer(code_challenge=pkce.s256(verifier), code_challenge_method="S256", **answers)
        reply = await self.exchange(landed["code"], code_verifier=verifier.reveal())
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    async def call(self, access_token: str, path: str = "/api/me", method: str = "GET") -> httpx2.Response:
        header = {"authorization": f"Bearer {access_token}"}
        return await self.web.request(method, self.base + path, headers=header)

    async def control(self, what: str, **body: Any) -> httpx2.Response:
        return await self.web.post(f"{self.base}/control/{what}", json=body)


def brought_back(reply: httpx2.Response) -> dict[str, str]:
    """Return the parameters that a redirect brings to the app's callback."""
    assert reply.status_code == 303, reply.text
    parts = urlsplit(reply.headers["location"])
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "http://localhost:3999/callback"
    given = parse_qs(parts.query, strict_parsing=True)
    assert given.pop("tab") == ["1"]
    assert all(len(values) == 1 for values in given.values())
    return {name: values[0] for name, values in given.items()}


def error_of(reply: httpx2.Response) -> tuple[int, str]:
    return reply.status_code, str(reply.json()["error"])
