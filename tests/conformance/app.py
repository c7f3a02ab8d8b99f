"""The app under the tests' hands: it sets integrations up, sends its users to connect, and keeps names apart."""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

from workos import NotFoundError
from workos.common.models import CustomProviderDefinitionAuthenticateVia, DataIntegrationCredentialType
from workos.pipes.models import CustomProviderDefinition, DataIntegrationCredentialsInput

from tests.conformance.sandbox import Sandbox
from tests.conformance.sdk import Sdk, everything
from tests.parts.browser import Browser

RETURN_TO = "http://localhost:3000/connected"
"""Where the app would be. Nothing listens there; the scripted browser stops before it."""

ALL_SCOPES = ["read", "write", "offline", "profile"]
_numbers = count(1)


@dataclass(frozen=True)
class Verifier:
    text: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    @property
    def challenge(self) -> str:
        return base64.urlsafe_b64encode(hashlib.sha256(self.text.encode()).digest()).decode().rstrip("=")


class App:
    """Everything goes through the SDK that is being tested; `browser` is the user's."""

    def __init__(self, sdk: Sdk, sandbox: Sandbox, browser: Browser) -> None:
        self.sdk, self.sandbox, self.browser = sdk, sandbox, browser

    def new(self, what: str) -> str:
        """Return a name that no other test uses: `user_7`, `org_8`, `acme_9`."""
        return f"{what}_{next(_numbers)}"

    def credentials(self, client_id: str | None = None, client_secret: str | None = None) -> Any:
        """Return the app's registration at the sandbox, or another one."""
        return DataIntegrationCredentialsInput(
            type=DataIntegrationCredentialType("custom"),
            client_id=client_id or self.sandbox.client_id,
            client_secret=client_secret or self.sandbox.client_secret,
        )

    def definition(self, name: str = "Acme", **changes: Any) -> Any:
        """Return a custom provider that is the sandbox under another name."""
        facts: dict[str, Any] = {
            "authorization_url": self.sandbox.authorize_url,
            "token_url": self.sandbox.token_url,
            "authenticate_via": CustomProviderDefinitionAuthenticateVia("basic_auth_header"),
        }
        return CustomProviderDefinition(name=name, **{**facts, **changes})

    async def integration(self, **changes: Any) -> str:
        """Set up an enabled OAuth integration with a slug of its own; return the slug."""
        slug = changes.pop("provider", None) or self.new("acme")
        facts: dict[str, Any] = {
            "enabled": True,
            "scopes": ALL_SCOPES,
            "credentials": self.credentials(),
            "custom_provider": self.definition(),
        }
        await self.sdk.pipes.create_data_integration(provider=slug, **{**facts, **changes})
        return str(slug)

    async def keyed(self, method: str, **changes: Any) -> str:
        """Set up an enabled integration by `api_key` or `client_credentials`; return the slug."""
        definition = (
            CustomProviderDefinition(name="Acme keys")
            if method == "api_key"
            else self.definition(authorization_url=None)
        )
        slug = self.new("keys")
        facts: dict[str, Any] = {"enabled": True, "auth_methods": [method], "custom_provider": definition}
        await self.sdk.pipes.create_data_integration(provider=slug, **{**facts, **changes})
        return slug

    async def sandbox_integration(self) -> str:
        """Return the built-in sandbox's slug, set up if no test has done so before."""
        try:
            await self.sdk.pipes.get_data_integration("sandbox")
        except NotFoundError:
            await self.sdk.pipes.create_data_integration(
                provider="sandbox", enabled=True, scopes=ALL_SCOPES, credentials=self.credentials()
            )
        return "sandbox"

    async def connect(self, slug: str, *, person: str | None = None, untick: tuple[str, ...] = (), **asked: Any) -> Any:
        """Take a user through the whole of it, bound to the app's session; return the connected account."""
        verifier = Verifier()
        link = await self.sdk.pipes.authorize_data_integration(
            slug,
            return_to=await self.registered(),
            code_challenge=verifier.challenge,
            code_challenge_method="S256",
            **asked,
        )
        landed = await self.browser.walk_async(link.url, stop_at=RETURN_TO, choose=person, untick=untick)
        told = query(landed)
        assert told.keys() == {"connect_code", "state"}, told
        done = await self.sdk.pipes.finish_connection(connect_code=told["connect_code"], code_verifier=verifier.text)
        return done.connected_account

    async def registered(self, uri: str = RETURN_TO) -> str:
        """Register a redirect URI unless it is there already; return it."""
        listed = await everything(await self.sdk.user_management.list_redirect_uris(limit=100))
        if all(item.uri != uri for item in listed):
            await self.sdk.user_management.create_redirect_uri(uri=uri)
        return uri

    async def member(self, organization_id: str, user_id: str | None = None) -> Any:
        """Record a membership; return it."""
        return await self.sdk.organization_membership.create_organization_membership(
            user_id=user_id or self.new("user"), organization_id=organization_id
        )


def query(url: str) -> dict[str, str]:
    """Return an address's query, each name once."""
    found = parse_qs(urlsplit(url).query, keep_blank_values=True)
    assert all(len(values) == 1 for values in found.values()), url
    return {name: values[0] for name, values in found.items()}
