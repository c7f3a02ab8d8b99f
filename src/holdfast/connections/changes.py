"""What is asked for of a connection: a new one, or changes of one and of what an organization sets for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import UNSET, UnsetType

from holdfast.connections.clients import ClientInput
from holdfast.connections.connection import (
    ClientSupply,
    OwnerKind,
    Revokes,
)
from holdfast.connections.oauth_settings import UNSET as NO_SETTINGS
from holdfast.connections.oauth_settings import OAuthSettings
from holdfast.providers.entry import Method, Provider


@dataclass(frozen=True, slots=True, kw_only=True)
class NewConnection:
    provider_slug: str
    name: str | None = None
    """None = the provider's slug."""
    spare_name: str | None = None
    """Taken in place of the provider's slug where that is another connection's name already."""
    owner_kind: OwnerKind = "user"
    method: Method = "oauth"
    client_supply: ClientSupply | None = None
    client: ClientInput | None = None
    scopes: Sequence[str] | None = None
    required_scopes: Sequence[str] = ()
    """Those of `scopes` without which an account cannot be used; the others are optional."""
    callback_by_id: bool = False
    enabled: bool = False
    description: str | None = None
    config: Mapping[str, str] = field(default_factory=dict)
    proxy_rules: Sequence[str] = ()
    approval_rules: Sequence[str] = ()
    definition: Provider | None = None
    """The custom provider to define along with it."""
    draft: bool = False
    """The client comes later: until then nobody can connect by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What to change. Left out = as it is; None where the field allows it = back to the provider's."""

    description: str | None | UnsetType = UNSET
    enabled: bool | None = None
    scopes: Sequence[str] | None | UnsetType = UNSET
    required_scopes: Sequence[str] | None = None
    callback_by_id: bool | None = None
    revokes: Revokes | None = None
    proxy_rules: Sequence[str] | None = None
    approval_rules: Sequence[str] | None = None
    """Each replaces all of them."""
    client: ClientInput | None = None
    definition: Provider | None = None
    config: Mapping[str, str] | None = None
    """Replaces all of it."""
    oauth_settings: OAuthSettings = NO_SETTINGS
    """What it does not name stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideChanges:
    enabled: bool | None = None
    scopes: Sequence[str] | None | UnsetType = UNSET
    client: ClientInput | None = None
    config: Mapping[str, str] | None = None
    context: Mapping[str, str] | None = None
    """In place of `config` where the connection's client is everybody's: what accounts could say for themselves, said
    for all of the organization. Replaces all of it."""
