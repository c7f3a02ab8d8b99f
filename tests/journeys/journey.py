"""One journey: an app that uses the official SDK, its user's browser, and every secret either of them came to know."""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Iterable
from itertools import count
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx2
from workos import AsyncWorkOSClient
from workos.common.models import CustomProviderDefinitionAuthenticateVia, DataIntegrationCredentialType
from workos.pipes.models import CustomProviderDefinition, DataIntegrationCredentialsInput

from tests.parts.browser import Browser
from tests.parts.server import HoldfastProcess

RETURN_TO = "http://localhost:3000/connected"
"""Where the app would be. Nothing listens there; the scripted browser stops before it."""
EVENTS = [f"pipes.connected_account.{verb}" for verb in ("connected", "reauthorization_needed", "disconnected")]
FAILED = "pipes.connected_account.connection_failed"
_TELLING = {"access_token", "refresh_token", "id_token", "client_secret", "code_verifier"}
_numbers = count(1)


class Journey:
    def __init__(self, server: HoldfastProcess, browser: Browser, *, api_key: str = "") -> None:
        self.server, self.browser, self.api_key = server, browser, api_key or server.api_key
        self.sdk = AsyncWorkOSClient(
            api_key=self.api_key, client_id="client_journey", base_url=server.base_url, max_retries=0
        )
        self.secrets: set[str] = {self.api_key}

    async def define(self, *, client_id: str, client_secret: str, basic: bool = True, **facts: Any) -> str:
        """Set a custom provider up; return its slug."""
        slug = new("acme")
        via = "basic_auth_header" if basic else "request_body"
        await self.sdk.pipes.create_data_integration(
            provider=slug,
            enabled=True,
            scopes=["openid", "offline_access", "read"],
            credentials=self.credentials(client_id, client_secret),
            custom_provider=CustomProviderDefinition(
                name="Acme", authenticate_via=CustomProviderDefinitionAuthenticateVia(via), **facts
            ),
        )
        return slug

    async def set_up(self, provider: str, *, client_id: str, client_secret: str, **facts: Any) -> str:
        """Set a provider of the catalogue up; return its slug."""
        await self.sdk.pipes.create_data_integration(
            provider=provider, enabled=True, credentials=self.credentials(client_id, client_secret), **facts
        )
        return provider

    def credentials(self, client_id: str, client_secret: str) -> DataIntegrationCredentialsInput:
        self.secrets.add(client_secret)
        return DataIntegrationCredentialsInput(
            type=DataIntegrationCredentialType("custom"), client_id=client_id, client_secret=client_secret
        )

    async def connect(self, slug: str, user_id: str, *, choose: str | None = None, **asked: Any) -> dict[str, str]:
        """Send the user through our confirmation page and the provider's; return what the app is told at the end."""
        link = await self.sdk.pipes.authorize_data_integration(slug, user_id=user_id, return_to=RETURN_TO, **asked)
        landed = await self.walk(link.url, user_id, choose=choose)
        assert landed["state"] == link.state
        return landed

    async def walk(self, url: str, user_id: str, *, choose: str | None = None) -> dict[str, str]:
        seen = await asyncio.to_thread(self.browser.get, url)
        assert user_id in seen.text, "the page names whose account is being connected"
        assert seen.url == url, "and waits for the user"
        return query(await self.browser.walk_async(url, stop_at=RETURN_TO, choose=choose))

    async def post(self, path: str, **body: Any) -> Any:
        """Call the API without the SDK, for what it has no parameter for; return the answer."""
        headers = {"authorization": f"Bearer {self.api_key}"}
        async with httpx2.AsyncClient(base_url=self.server.base_url, headers=headers, trust_env=False) as web:
            reply = await web.post(path, json=body, timeout=30)
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def token(self, slug: str, user_id: str) -> str:
        """Read the live token."""
        read = await self.sdk.pipes.get_access_token(slug, user_id=user_id)
        assert read.active is True, read
        self.secrets.add(read.access_token.access_token)
        return read.access_token.access_token

    async def refused(self, slug: str, user_id: str) -> str:
        """Read where there is no token to be had; return the reason."""
        read = await self.sdk.pipes.get_access_token(slug, user_id=user_id)
        assert read.active is False, "there is a token"
        return str(getattr(read.error, "value", read.error))

    async def state(self, slug: str, user_id: str) -> str:
        account = await self.sdk.pipes.get_user_connected_account(user_id, slug)
        return str(getattr(account.state, "value", account.state))

    async def events(self, user_id: str, names: list[str] = EVENTS) -> list[str]:
        """Return the last words of the names of a user's events, oldest first."""
        page = await self.sdk.events.list_events(events=names, limit=100)
        assert page.after is None, "more events than a page holds"
        return [event.event.rpartition(".")[2] for event in page.data if event.data.user_id == user_id]

    def new_verifier(self) -> tuple[str, str]:
        """Return a code verifier and its challenge."""
        verifier = secrets.token_urlsafe(48)
        self.secrets.add(verifier)
        return verifier, challenge_of(verifier)


def new(what: str) -> str:
    """Return a name that no other journey uses: `user_j7`, which no test of another folder uses either."""
    return f"{what}_j{next(_numbers)}"


def query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, strict_parsing=True, keep_blank_values=True))


def challenge_of(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def check_addresses(visited: Iterable[str], known: Iterable[str]) -> None:
    """Fail if an address holds a token, a client secret or a code verifier.

    Known secrets are looked for as they are and percent-encoded. The verifiers that a server keeps to itself are
    known by their challenges: none of the values may hash to one.
    """
    visited, known = list(visited), list(known)
    values = [(name, value) for url in visited for name, value in parse_qsl(urlsplit(url).query)]
    challenges = {value for name, value in values if name == "code_challenge"}
    assert not {name for name, _ in values} & _TELLING
    assert not {challenge_of(value) for _, value in values} & challenges, "a code_verifier is in an address"
    for url in visited:
        shown = urlsplit(url)._replace(query="").geturl()
        assert not any(secret in url or secret in unquote(url) for secret in known), f"a secret is in {shown}?..."
        assert not urlsplit(url).fragment
