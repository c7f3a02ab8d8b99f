"""The records of this room and what follows from them without I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from holdfast.connections.oauth_settings import UNSET, OAuthSettings, varied
from holdfast.providers.entry import Method, Provider
from holdfast.vault import Place, Sealed

OwnerKind = Literal["user", "organization"]
OWNER_KINDS: tuple[OwnerKind, ...] = ("user", "organization")
ClientSupply = Literal["custom", "organization"]
"""Who supplies the OAuth client: the operator, or each organization for itself."""
Revokes = Literal["usual", "always", "never"]
REVOKES: tuple[Revokes, ...] = ("usual", "always", "never")
"""Whether deleting or disconnecting an account ends its tokens at the provider. usual: as the door that was asked says,
and never what takes access from others too. always: whichever door was asked, and that too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    environment_id: str
    id: str
    name: str
    """Unique per environment and owner kind; the WorkOS slug and the Scalekit connector."""
    owner_kind: OwnerKind
    provider_slug: str
    method: Method
    callback_key: str
    """Part of the redirect URI, so that each connection has its own (mix-up defence)."""
    created_at: float
    updated_at: float
    callback_by_id: bool = False
    """The redirect URI is the path `/sso/v1/oauth/conn_<id>/callback`, as apps that come from there have registered."""
    client_supply: ClientSupply | None = None
    client_ref: str | None = None
    scopes: tuple[str, ...] | None = None
    """Asked for at consent. None = the provider's default scopes."""
    required_scopes: tuple[str, ...] = ()
    enabled: bool = False
    revokes: Revokes = "usual"
    proxy_rules: tuple[str, ...] = ()
    """Which calls go through the proxy: see `rules`. None at all = every one; token reads are not concerned."""
    approval_rules: tuple[str, ...] = ()
    """Which of the calls that may go wait for a person's approval, each: see `approval_rules`."""
    description: str | None = None
    config: Mapping[str, str] = field(default_factory=dict)
    oauth_settings: OAuthSettings = UNSET
    alert: str | None = None
    """Why the provider refuses our client, in words; None while all is well."""
    alert_at: float | None = None
    alert_client_ref: str | None = None
    """The client that is refused: accounts of another client of this connection are not concerned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One OAuth client id at a provider, with its secret and the one it replaced.

    The former secret is tried when the provider refuses the new one, so that a rotation in two places need not happen
    in one instant.
    """

    environment_id: str
    id: str
    connection_id: str
    organization_id: str
    client_id: str
    secret: Sealed | None
    secret_version: int
    secret_last4: str
    former_secret: Sealed | None
    created_at: float
    updated_at: float

    def secret_place(self, version: int) -> Place:
        return Place(self.environment_id, self.id, "client_secret", version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """What one organization has set for a connection name. None = as the connection says."""

    environment_id: str
    id: str
    organization_id: str
    name: str
    created_at: float
    updated_at: float
    enabled: bool | None = None
    scopes: tuple[str, ...] | None = None
    config: Mapping[str, str] = field(default_factory=dict)
    client_ref: str | None = None


@dataclass(frozen=True, slots=True)
class Effective:
    """A connection as it stands for one owner: the organization's override applied."""

    connection: Connection
    provider: Provider
    """Its entry, with the connection's own OAuth settings over it."""
    enabled: bool
    scopes: tuple[str, ...]
    client_ref: str | None
    config: Mapping[str, str]

    @property
    def usable(self) -> bool:
        """An OAuth connection without a client cannot connect anybody."""
        return self.enabled and (self.connection.method != "oauth" or self.client_ref is not None)


def effective(connection: Connection, provider: Provider, override: Override | None = None) -> Effective:
    """Apply the override, then the provider's defaults."""
    scopes = connection.scopes
    if override is not None and override.scopes is not None:
        scopes = override.scopes
    if scopes is None:
        scopes = provider.oauth2.scopes if provider.oauth2 is not None else ()
    enabled = connection.enabled
    if override is not None and override.enabled is not None:
        enabled = override.enabled
    client_ref = connection.client_ref
    if connection.client_supply == "organization":
        client_ref = override.client_ref if override is not None else None
    config = dict(connection.config)
    if override is not None:
        # With the operator's own client, another's config could send its secret to another's host. So only what each
        # account could say for itself is taken then, and nothing that the connection says for everybody.
        own = connection.client_supply == "organization"
        config.update(
            {name: value for name, value in override.config.items() if own or _free(connection, provider, name)}
        )
    return Effective(connection, varied(provider, connection.oauth_settings), enabled, scopes, client_ref, config)


def _free(connection: Connection, provider: Provider, name: str) -> bool:
    field = provider.config.get(name)
    return field is not None and field.scope == "installation" and name not in connection.config


def redirect_uri(base_url: str, connection: Connection) -> str:
    """Return the callback to register at the provider: one per environment and connection; "" for keyed methods."""
    if connection.method != "oauth":
        return ""
    if connection.callback_by_id:
        return f"{base_url}/sso/v1/oauth/conn_{connection.id}/callback"
    return f"{base_url}/data-integrations/{connection.name}/dik_{connection.callback_key}/callback"
